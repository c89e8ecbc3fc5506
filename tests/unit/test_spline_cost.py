"""Exact costs of segments that cubic splines fill."""

import numpy as np
import pytest
import torch

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.segment_cost import all_segment_costs, pair_costs
from interdiff.keyframes.spline_cost import all_spline_costs, pair_spline_costs
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.two_phase.interpolators.hermite import between

B, T, D = 3, 24, 2
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(B, T, D, generator=GENERATOR, dtype=torch.float64).cumsum(1)
V = torch.randn(B, T, D, generator=GENERATOR, dtype=torch.float64)


def filled(i, j):
    """The spline's positions from i to j, by the interpolator of phase 2, whose time runs from 0 to 1."""
    states = torch.cat([X, V * (T - 1)], -1)
    share = torch.linspace(0, 1, j - i + 1, dtype=torch.float64)[None, :, None]
    ends = (states[:, None, at].expand(-1, j - i + 1, -1) for at in (i, j))
    return between(*ends, share.expand(B, -1, -1), torch.tensor((j - i) / (T - 1), dtype=torch.float64))[..., :D]


@pytest.mark.parametrize(("i", "j"), [(0, 1), (3, 5), (0, T - 1), (7, 20)])
def test_the_cost_is_the_squared_error_of_the_interpolator(i, j):
    exact = (filled(i, j)[:, :-1] - X[:, i:j]).square().sum((1, 2))
    found = pair_spline_costs(X, V, torch.full((B, 1), i), torch.full((B, 1), j))[:, 0]
    torch.testing.assert_close(found, exact, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(
        torch.from_numpy(all_spline_costs(X.numpy(), V.numpy())[:, i, j]).double(), exact, rtol=1e-5, atol=1e-6
    )


def test_far_along_a_long_sequence_digits_suffice():
    t = torch.arange(512, dtype=torch.float64)
    x = torch.stack([100 + 3 * torch.sin(t / 7), torch.cos(t / 5)], -1)[None]
    v = torch.stack([3 / 7 * torch.cos(t / 7), -torch.sin(t / 5) / 5], -1)[None]
    near, far = (
        pair_spline_costs(x[:, cut:], v[:, cut:], torch.tensor([[480 - cut]]), torch.tensor([[500 - cut]]))
        for cut in (470, 0)
    )
    torch.testing.assert_close(near, far, rtol=1e-6, atol=1e-9)


def test_a_cubic_costs_nothing_and_a_line_at_rest_costs_less_by_a_line():
    t = torch.arange(T, dtype=torch.float64)[None, :, None]
    cubic, slope = (t / 9) ** 3 - (t / 5) ** 2, t**2 / 243 - 2 * t / 25
    cost = all_spline_costs(cubic.numpy(), slope.numpy())
    assert np.isinf(cost[:, 5, 5]).all()
    assert cost[np.isfinite(cost)].max() < 1e-6
    assert all_segment_costs(cubic.numpy())[0, 0, T - 1] > 1


def test_costs_are_additive_and_have_gradients():
    cost = all_spline_costs(X.numpy(), V.numpy())
    indices, total = optimal_indices(cost, 5, 3.0)
    by_pairs = pair_spline_costs(
        X, V, *(torch.from_numpy(part.astype(np.int64)) for part in (indices[:, :-1], indices[:, 1:]))
    )
    np.testing.assert_allclose(by_pairs.sum(1), total, rtol=1e-5)
    x = X[:1, :8].clone().requires_grad_(True)
    v = V[:1, :8].clone().requires_grad_(True)
    at = torch.tensor([[0, 2]]), torch.tensor([[2, 7]])
    assert torch.autograd.gradcheck(lambda *states: pair_spline_costs(*states, *at), (x, v))


def test_slopes_are_central_differences_where_positions_alone_are_known():
    i, j = torch.tensor([[2]] * B), torch.tensor([[15]] * B)
    v = torch.gradient(X, dim=1)[0]
    by_pairs = pair_costs(X, i, j, "hermite")
    torch.testing.assert_close(by_pairs, pair_spline_costs(X, v, i, j))
    np.testing.assert_allclose(all_segment_costs(X.numpy(), "hermite")[:, 2, 15], by_pairs[:, 0], rtol=1e-5)


def test_d_phi_of_a_certain_path_costs_what_splines_along_it_cost():
    """But for the spread, which is positive."""
    output = torch.cat([X, torch.zeros(B, T, 8)], -1).float()
    costs = {}
    for kind in ("linear", "hermite"):
        torch.manual_seed(0)
        model = SegmentCostModel(T, 8, 4, d_model=16, depth=1, heads=2, interpolation=kind)
        assert model.size["interpolation"] == kind
        pairs = torch.tensor([[0, 4]] * B), torch.tensor([[9, 20]] * B)
        costs[kind] = model.all_costs(output)
        found = model.pair_costs(output, *pairs).detach()
        np.testing.assert_allclose(found[:, 1], costs[kind][:, 4, 20], rtol=1e-4)
    at = np.triu_indices(T, 2)
    exact = [all_segment_costs(X.float().numpy(), kind) for kind in costs]
    difference = costs["hermite"][:, *at] - costs["linear"][:, *at]
    exact_difference = exact[1][:, *at] - exact[0][:, *at]
    np.testing.assert_allclose(difference, exact_difference, rtol=1e-3, atol=1e-3)
