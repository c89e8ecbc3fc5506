import numpy as np
import pytest
import torch

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.nested_masks import levels_from
from interdiff.keyframes.segment_cost import all_segment_costs
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.policies import first_keyframes, keyframe_indices, level_ranks
from interdiff.maze.planner.selector import KeyframeSelector

T, K, N, FACTOR = 16, 4, 6, 2.0
LEVELS = (4, 6, 8)


@pytest.fixture(scope="module")
def data(prepared_data):
    return prepared_data(T)


@pytest.fixture(scope="module")
def masks(data):
    cost = all_segment_costs(data.world_positions().numpy())
    found = {k: optimal_indices(cost, k, FACTOR) for k in LEVELS}
    indices, costs = ({k: pair[n] for k, pair in found.items()} for n in (0, 1))
    return Masks(indices, costs, LEVELS, FACTOR, "linear")


@pytest.fixture(scope="module")
def selector():
    torch.manual_seed(0)
    return KeyframeSelector(T, 4, 3, "encoder", LEVELS, FACTOR, d_model=16, depth=1, heads=2)


POLICIES = ["selector", "uniform", "dp", "random"]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_coarsest_mask_is_the_keyframes(policy, data, masks, selector):
    rng = np.random.default_rng(0)
    indices = keyframe_indices(policy, K, data, masks, selector, rng)
    ranks = level_ranks(policy, LEVELS, data, selector, rng, indices)
    assert torch.equal(ranks == 0, torch.zeros(N, T, dtype=torch.bool).scatter(1, indices, True))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("k", LEVELS)
def test_masks_of_every_policy_have_their_levels_counts(policy, k, data, masks, selector):
    rng = np.random.default_rng(0)
    levels = levels_from(LEVELS, k)
    ranks = level_ranks(policy, levels, data, selector, rng, first_keyframes(policy, k, data, masks, rng))
    assert ranks.dtype == torch.uint8
    for level, count in enumerate(levels):
        assert ((ranks <= level).sum(1) == count).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_keyframes_of_every_policy(policy, data, masks, selector):
    indices = keyframe_indices(policy, K, data, masks, selector, np.random.default_rng(0))
    assert indices.dtype == torch.int64
    assert indices.shape == (N, K)
    assert (indices[:, 0] == 0).all()
    assert (indices[:, -1] == T - 1).all()
    assert (indices.diff(dim=1) > 0).all()


def test_rows_are_drawn_equally_of_every_layout_in_order(data):
    rows = data.random_rows(8, torch.Generator().manual_seed(0))
    assert data.layout[rows].tolist() == [0] * 4 + [1] * 4
    assert torch.cat(data.chunks(2)).tolist() == list(range(N))
    assert [len(chunk) for chunk in data.chunks(2)] == [2, 1, 2, 1]


def test_layouts_without_rows_are_not_drawn_and_of_many_some_are(data):
    generator = torch.Generator().manual_seed(0)
    only = data.subset(data.rows_of(1))
    assert only.occurring == [1]
    assert set(only.random_rows(6, generator).tolist()) <= {0, 1, 2}
    drawn = [data.layout[data.random_rows(2, generator)].unique().tolist() for _ in range(20)]
    assert {tuple(layouts) for layouts in drawn} == {(0,), (1,)}  # two of one layout each time
