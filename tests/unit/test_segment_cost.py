import itertools

import numpy as np
import pytest
import torch

from interdiff.keyframes.losses import cost_regression_loss
from interdiff.keyframes.segment_cost import all_segment_costs, pair_costs, sampled_segment_costs


def walks(batch, frames, channels=2, scale=0.1, seed=0):
    """Random walks that wander some units from the origin."""
    steps = np.random.default_rng(seed).normal(size=(batch, frames, channels))
    return 5 + scale * steps.cumsum(axis=1)


def brute_force(x_td, i, j):
    """Squared error of a straight line from frame i to frame j, summed over the frames between them."""
    alpha = (np.arange(i + 1, j) - i)[:, None] / (j - i)
    line = (1 - alpha) * x_td[i] + alpha * x_td[j]
    return np.square(x_td[i + 1 : j] - line).sum()


def matrix(x_td):
    frames = len(x_td)
    cost = np.full((frames, frames), np.inf)
    for i in range(frames):
        for j in range(i + 1, frames):
            cost[i, j] = brute_force(x_td, i, j)
    return cost


@pytest.mark.parametrize(("frames", "channels"), [(2, 2), (3, 1), (20, 2), (33, 5)])
def test_all_costs_are_those_of_brute_force(frames, channels):
    x = walks(3, frames, channels)
    cost = all_segment_costs(x)
    assert cost.dtype == np.float32
    assert cost.shape == (3, frames, frames)
    np.testing.assert_allclose(cost, [matrix(x_td) for x_td in x.astype(np.float32)], rtol=1e-4, atol=1e-6)


def test_sequences_as_long_as_d4rls():
    x = walks(2, 600, scale=0.02)
    cost = all_segment_costs(x)
    rng = np.random.default_rng(1)
    for i, j in [(0, 599), (0, 2), (597, 599), *np.sort(rng.choice(600, (50, 2)), axis=1)]:
        if i < j:
            assert cost[1, i, j] == pytest.approx(brute_force(x[1].astype(np.float32), i, j), rel=1e-3, abs=1e-5)


def test_far_from_the_origin_costs_are_as_exact():
    x = walks(1, 128)
    np.testing.assert_allclose(all_segment_costs(x + 16), all_segment_costs(x), rtol=1e-2, atol=1e-4)


def test_a_straight_line_costs_nothing():
    x = np.linspace([1.0, -2.0], [4.0, 9.0], 50)[None]
    assert all_segment_costs(x)[0][np.triu_indices(50, 1)].max() < 1e-7


def test_costs_are_sums_over_interior_frames():
    """A path's cost is the squared error of the whole interpolated sequence: the sum that DP needs, not a mean."""
    x = walks(1, 40)
    path = [0, 3, 4, 17, 39]
    filled = np.stack([np.interp(np.arange(40), path, x[0, path, d]) for d in range(2)], axis=1)
    cost = all_segment_costs(x)[0]
    total = sum(cost[i, j] for i, j in itertools.pairwise(path))
    assert total == pytest.approx(np.square(x[0] - filled).sum(), rel=1e-4)


def test_pair_costs_agree_with_all_costs():
    x = walks(4, 30)
    rng = np.random.default_rng(2)
    i = rng.integers(0, 29, (4, 11))
    j = rng.integers(i + 1, 30)
    cost = pair_costs(torch.tensor(x), torch.tensor(i), torch.tensor(j))
    expected = [[brute_force(x[b], i[b, p], j[b, p]) for p in range(11)] for b in range(4)]
    np.testing.assert_allclose(cost, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cost, all_segment_costs(x)[np.arange(4)[:, None], i, j], rtol=1e-3, atol=1e-5)


def test_the_gradient_of_pair_costs():
    x = torch.tensor(walks(2, 9), requires_grad=True)
    i, j = torch.tensor([[0, 2, 0], [1, 5, 3]]), torch.tensor([[8, 6, 2], [4, 8, 7]])
    assert torch.autograd.gradcheck(lambda x: pair_costs(x, i, j), (x,))


def test_the_sampled_estimator_is_unbiased():
    x = walks(2, 12)
    rng = np.random.default_rng(3)
    draws = np.stack([sampled_segment_costs(x, 16, rng) for _ in range(1000)])
    finite = np.isfinite(exact := all_segment_costs(x))
    assert (np.isfinite(draws) == finite).all()
    error = draws[:, finite].mean(0) - exact[finite]
    standard_error = draws[:, finite].std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(error) <= 5 * standard_error + 1e-6).all()
    assert draws[:, finite].std(0).max() > 0.01
    same = sampled_segment_costs(np.repeat(x[:1], 2, 0), 2, rng)
    assert (same[0] != same[1])[finite[0]].any()


def test_the_sampled_estimator_draws_every_interior_frame():
    """A spike at one frame alone is missed by few samples and found by many."""
    x = np.zeros((1, 8, 1))
    x[0, 6] = 1.0
    rng = np.random.default_rng(0)
    assert sampled_segment_costs(x, 5000, rng)[0, 0, 7] == pytest.approx(all_segment_costs(x)[0, 0, 7], rel=0.15)


def test_the_regression_loss_is_least_at_the_mean():
    target = torch.tensor([0.0, 0.01, 0.5, 3.0])
    candidates = torch.linspace(0.1, 3, 291)
    losses = torch.stack([cost_regression_loss(c.expand(4), target) for c in candidates])
    assert candidates[losses.argmin()].item() == pytest.approx(target.mean().item(), abs=0.011)


def test_the_regression_loss_weighs_relative_errors():
    small, large = torch.tensor([0.1]), torch.tensor([10.0])

    def excess(target):
        return cost_regression_loss(1.5 * target, target, 0.0) - cost_regression_loss(target, target, 0.0)

    assert excess(small).item() == pytest.approx(excess(large).item(), rel=1e-4)
    assert excess(small) > 0
