import itertools

import numpy as np
import pytest

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap, nests
from interdiff.keyframes.nested_masks import index_mask, nested_ranks, random_nested_ranks
from interdiff.keyframes.segment_cost import all_segment_costs

LEVELS = (3, 4, 8, 16)
FRAMES = 33
START = np.tile([0, 12, FRAMES - 1], (5, 1))


@pytest.fixture(scope="module")
def cost():
    steps = np.random.default_rng(0).normal(size=(5, FRAMES, 2))
    return all_segment_costs(steps.cumsum(axis=1))


def made(kind, cost):
    if kind == "random":
        return random_nested_ranks(START, LEVELS, np.random.default_rng(0))
    return nested_ranks(lambda k: cost, LEVELS, 2.0)


@pytest.mark.parametrize("kind", ["optimal", "random"])
def test_every_level_has_its_count_and_both_ends(cost, kind):
    rank = made(kind, cost)
    assert rank.dtype == np.uint8
    assert rank.shape == (5, FRAMES)
    for level, k in enumerate(LEVELS):
        assert ((rank <= level).sum(1) == k).all()
    assert (rank.max(1) == len(LEVELS)).all()
    assert (rank[:, [0, -1]] == 0).all()


def test_the_coarsest_level_is_the_optimum(cost):
    assert np.array_equal(made("optimal", cost) == 0, index_mask(optimal_indices(cost, 3, 2.0)[0], FRAMES))


def test_each_level_is_the_optimum_that_keeps_the_one_before(cost):
    rank = made("optimal", cost)
    for level, k in enumerate(LEVELS[1:], start=1):
        expected, _ = optimal_indices(cost, k, 2.0, keep=rank < level)
        assert np.array_equal(rank <= level, index_mask(expected, FRAMES))


def test_each_level_asks_for_its_own_costs(cost):
    """A level whose costs favour other frames takes them, but keeps what the level before chose."""
    asked = []
    nested_ranks(lambda k: asked.append(k) or cost, LEVELS, 2.0)
    assert asked == list(LEVELS)


@pytest.mark.parametrize("kind", ["optimal", "random"])
def test_a_given_start_is_the_coarsest_level(cost, kind):
    rank = made("random", cost) if kind == "random" else nested_ranks(lambda k: cost, LEVELS, 2.0, START)
    assert np.array_equal(rank == 0, index_mask(START, FRAMES))
    assert ((rank <= 3).sum(1) == 16).all()


def test_random_order_is_drawn_per_sequence_and_from_the_generator():
    start = np.tile(START[:1], (50, 1))
    ranks = [random_nested_ranks(start, LEVELS, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(ranks[0], ranks[1])
    assert not np.array_equal(ranks[0], ranks[2])
    assert len(np.unique(ranks[0], axis=0)) > 40


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.5])
def test_levels_that_nest_do_so_from_any_mask_and_others_do_not(factor):
    frames = 17
    for coarse, fine in itertools.combinations(range(2, 13), 2):
        masks = [(0, *inner, frames - 1) for inner in itertools.combinations(range(1, frames - 1), coarse - 2)]
        longest = max_gap(frames, coarse, factor)
        masks = np.array([mask for mask in masks if max(np.diff(mask)) <= longest])
        needed = np.ceil(np.diff(masks) / max_gap(frames, fine, factor)).sum(1).max()
        assert nests(frames, coarse, fine, factor) == (needed < fine), (coarse, fine)
