"""Public functions of keyframes and two_phase say which shapes they take when they get others."""

import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.keyframes import (
    dynamic_programming,
    losses,
    nested_masks,
    path_distribution,
    predicted_cost,
    segment_cost,
)
from interdiff.keyframes.shapes import check_shapes
from interdiff.two_phase import corruption, interpolation, keyframe_diffusion, sampler

RNG = np.random.default_rng(0)
GENERATOR = torch.Generator().manual_seed(0)
FILL = interpolation.filling("linear")
SCHEDULER = keyframe_diffusion.keyframe_scheduler()


def array(*shape):
    return RNG.random(shape, np.float32)


def tensor(*shape):
    return torch.zeros(*shape)


def index(*shape):
    return torch.zeros(*shape, dtype=torch.int64)


def mask(*shape):
    return torch.ones(*shape, dtype=torch.bool)


CASES = {
    "one sequence": (lambda: segment_cost.all_segment_costs(array(9, 2)), "x_btd: expected [B, T, D], not (9, 2)"),
    "a list": (lambda: segment_cost.all_segment_costs([[1.0]]), "x_btd: expected [B, T, D], not list"),
    "a sampled one": (
        lambda: segment_cost.sampled_segment_costs(array(9), 4, RNG),
        "x_btd: expected [B, T, D], not (9,)",
    ),
    "products that are not square": (
        lambda: segment_cost.gram_costs(tensor(2, 9, 8)),
        "gram_btt: expected [B, T, T] with B = 2, T = 9, not (2, 9, 8)",
    ),
    "pairs of one sequence": (
        lambda: segment_cost.pair_costs(tensor(2, 9, 3), index(5), index(5)),
        "i_bp: expected [B, P] with B = 2, not (5,)",
    ),
    "other numbers of ends": (
        lambda: segment_cost.pair_costs(tensor(2, 9, 3), index(2, 5), index(2, 4)),
        "j_bp: expected [B, P] with B = 2, P = 5, not (2, 4)",
    ),
    "one cost matrix": (
        lambda: dynamic_programming.optimal_indices(array(9, 9), 3, 2.0),
        "cost_bij: expected [B, T, T], not (9, 9)",
    ),
    "kept frames of other sequences": (
        lambda: dynamic_programming.optimal_indices(array(2, 9, 9), 3, 2.0, mask(3, 9).numpy()),
        "keep: expected [B, T] with B = 2, T = 9, not (3, 9)",
    ),
    "indices of one path": (
        lambda: dynamic_programming.path_cost(array(2, 9, 9), np.array([0, 8])),
        "indices_bk: expected [B, K] with B = 2, not (2,)",
    ),
    "one matrix for all": (
        lambda: dynamic_programming.global_indices(array(9, 9), 3, 2.0),
        "cost_bij: expected [B, T, T]",
    ),
    "a mask of one path": (
        lambda: nested_masks.index_mask(np.array([0, 8]), 9),
        "indices_bk: expected [B, K], not (2,)",
    ),
    "a start of another level": (
        lambda: nested_masks.nested_ranks(lambda k: array(1, 9, 9), [3, 5], 2.0, np.array([[0, 2, 4, 8]])),
        "start: expected [B, K] with B = 1, K = 3, not (1, 4)",
    ),
    "a random start of another level": (
        lambda: nested_masks.random_nested_ranks(np.array([[0, 8]]), [3, 5], RNG),
        "start: expected [B, K] with B = 1, K = 3, not (1, 2)",
    ),
    "one potential": (lambda: path_distribution.log_partition(tensor(9, 9), 3), "potential_bij: expected [B, T, T]"),
    "nodes of other frames": (
        lambda: path_distribution.log_partition(tensor(2, 9, 9), 3, tensor(2, 8)),
        "node_bt: expected [B, T] with B = 2, T = 9, not (2, 8)",
    ),
    "paths of other sequences": (
        lambda: path_distribution.path_potential(tensor(2, 9, 9), index(3, 4)),
        "indices_bk: expected [B, K] with B = 2, not (3, 4)",
    ),
    "marginals of one": (lambda: path_distribution.marginals(tensor(9, 9), 3), "potential_bij: expected [B, T, T]"),
    "another K": (
        lambda: losses.path_negative_log_likelihood(tensor(2, 9, 9), index(2, 4), 3),
        "path_bk: expected [B, K] with B = 2, K = 3, not (2, 4)",
    ),
    "features of one": (lambda: predicted_cost.PairCosts(9).all(tensor(9, 4)), "features_btc: expected [B, T, C]"),
    "pairs of features": (
        lambda: predicted_cost.PairCosts(9).pairs(tensor(2, 9, 4), index(5), index(5)),
        "i_bp: expected [B, P] with B = 2, not (5,)",
    ),
    "potentials like one": (
        lambda: predicted_cost.path_potentials(None, tensor(9, 4), 3),
        "like_btc: expected [B, T, C]",
    ),
    "clips that are not flat": (
        lambda: interpolation.place_keyframes(tensor(2, 3, 4, 4), index(2, 3), 9),
        "keyframes_bkc: expected [B, K, C], not (2, 3, 4, 4)",
    ),
    "other keyframes than indices": (
        lambda: interpolation.place_keyframes(tensor(2, 3, 4), index(2, 5), 9),
        "indices_bk: expected [B, K] with B = 2, K = 3, not (2, 5)",
    ),
    "one mask": (lambda: interpolation.neighbours(mask(9)), "mask_bt: expected [B, T], not (9,)"),
    "a mask's deviation": (lambda: interpolation.bridge_deviation(mask(9)), "mask_bt: expected [B, T], not (9,)"),
    "a mask of other frames": (
        lambda: interpolation.interpolate(tensor(2, 9, 4), mask(2, 8)),
        "mask_bt: expected [B, T] with B = 2, T = 9, not (2, 8)",
    ),
    "degrading with it": (
        lambda: corruption.degrade(tensor(2, 9, 4), mask(2, 8), FILL, 0.1, GENERATOR),
        "mask_bt: expected [B, T] with B = 2, T = 9, not (2, 8)",
    ),
    "other channels": (
        lambda: corruption.with_anchor_errors(
            tensor(2, 9, 4), tensor(2, 3, 2), index(2, 3), "linear", 0.5, 0.1, GENERATOR
        ),
        "cached_bkc: expected [B, K, C] with B = 2, K = 3, C = 4, not (2, 3, 2)",
    ),
    "keyframes of one": (
        lambda: keyframe_diffusion.noisy_keyframes(SCHEDULER, tensor(3, 4), mask(3, 4), GENERATOR),
        "clean: expected [B, K, C], not (3, 4)",
    ),
    "values of one": (
        lambda: keyframe_diffusion.sample_keyframes(SCHEDULER, None, tensor(3, 4), mask(3, 4), 2, GENERATOR),
        "values: expected [B, K, C], not (3, 4)",
    ),
    "a level's mask": (
        lambda: sampler.refine_over_levels(None, tensor(2, 9, 4), [mask(2, 9), mask(9)], [0, 0], FILL, GENERATOR, None),
        "masks: expected [B, T] with B = 2, T = 9, not (9,)",
    ),
}


@pytest.mark.parametrize(("call", "message"), CASES.values(), ids=CASES)
def test_other_shapes_are_named(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).startswith(message)


def test_equal_letters_are_equal_sizes_and_none_fits():
    check_shapes("a B T T, b T, c B", tensor(2, 3, 3), array(3), None)
    check_shapes("a B K", tensor(2, 3), K=3)
    with pytest.raises(InputError, match=r"b: expected \[T\] with T = 3, not \(4,\)"):
        check_shapes("a B T T, b T", tensor(2, 3, 3), tensor(4))
