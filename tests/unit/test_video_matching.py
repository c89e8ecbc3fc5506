"""Interpolation by optimal transport between tokens."""

import pytest
import torch
from test_video_interpolators import CPU, SINKHORN, ends, textured
from torch.utils._python_dispatch import TorchDispatchMode

from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.sinkhorn import (
    SinkhornInterpolator,
    Window,
    rotated,
    sinkhorn,
    turn_of_places,
    window_around,
)


def everywhere(count, batch=1):
    targets = torch.arange(count).expand(batch, count, -1)
    return Window(targets, torch.ones_like(targets, dtype=torch.bool))


def dense_sinkhorn(scores, dustbin, iterations):
    """Transport between all places and two dustbins: [B, N, N] -> [B, N + 1, N + 1] (Sarlin et al. 2020, section 3.2)."""
    count = scores.shape[1]
    padded = torch.nn.functional.pad(scores, (0, 1, 0, 1))
    padded[:, -1, :] = padded[:, :, -1] = dustbin
    marginal = torch.cat([torch.zeros(count), torch.tensor([float(count)]).log()])
    rows, columns = torch.zeros(2, *padded.shape[:2])
    for _ in range(iterations):
        rows = marginal - (padded + columns[:, None]).logsumexp(2)
        columns = marginal - (padded + rows[:, :, None]).logsumexp(1)
    return (padded + rows[:, :, None] + columns[:, None]).exp()


def test_transport_leaves_to_the_dustbin_what_has_no_partner():
    scores = torch.full((1, 3, 3), -20.0)
    scores[0, 0, 1] = scores[0, 1, 0] = 5.0
    plan = sinkhorn(scores, everywhere(3), torch.tensor(0.0), 50)
    assert plan[0, 0, 1] > 0.85
    assert plan[0, 2].sum() < 0.1
    assert plan.sum(2).max() < 1 + 1e-3


@pytest.mark.parametrize(("radius", "size"), [(0, (4, 6)), (2, (4, 6)), (9, (4, 6)), (1, (1, 5))])
def test_transport_in_a_window_is_dense_transport_where_nothing_else_is_allowed(radius, size):
    generator, count = torch.Generator().manual_seed(0), size[0] * size[1]
    y, x = (at.flatten() for at in torch.meshgrid(*map(torch.arange, size), indexing="ij"))
    places = torch.stack([x, y], -1).float()
    expected = places + 2 * torch.randn(2, count, 2, generator=generator)
    scores = torch.randn(2, count, count, generator=generator)
    outside = (places - expected[:, :, None]).abs().amax(-1) > radius + 0.5
    window, away = window_around(expected, radius, *size)
    torch.testing.assert_close(away[window.inside], (places[window.targets] - expected[:, :, None])[window.inside])
    dense = dense_sinkhorn(scores.masked_fill(outside, -torch.inf), torch.tensor(0.3), 7)[:, :-1, :-1]
    plan = sinkhorn(scores.gather(2, window.targets), window, torch.tensor(0.3), 7)
    found = torch.zeros_like(dense).scatter_add(2, window.targets, plan)
    torch.testing.assert_close(found, dense, atol=1e-5, rtol=1e-5)


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [made.numel()] if isinstance(made, torch.Tensor) else []
        self.numbers = max(self.numbers, *sizes, 0)
        return made


@pytest.mark.parametrize("token", [1, 2, 4])
def test_matching_takes_memory_in_proportion_to_places_at_wans_size(token):
    """All pairs of 6,240 places would be 39 million numbers in each of many tensors."""
    with torch.device("meta"), Largest() as largest:
        model = SinkhornInterpolator(**SINKHORN | {"channels": 16, "token": token})
        first, last = torch.empty(2, 1, 16, 60, 104)
        assert model.matches(first, last)[0].shape == (1, 2, 60, 104)
    assert largest.numbers <= 49 * 8 * 6240


@pytest.mark.parametrize("token", [1, 2, 4])
def test_tokens_of_any_size_follow_a_moving_picture(token):
    model = SinkhornInterpolator(**SINKHORN | {"width": 4, "token": token})
    torch.nn.init.zeros_(model.project.bias)
    torch.nn.init.zeros_(model.project.weight)
    for channel in range(4):
        model.project.weight.data[channel, channel] = 1 / token**2
    first, last = textured((0, 0), size=32), textured((4, -4), size=32)
    forward = model.matches(first, last)[0]
    assert forward[:, :, 10:22, 10:22].mean((0, 2, 3)).tolist() == pytest.approx([4, -4], abs=0.4)


def test_matches_follow_a_moving_picture():
    model = SinkhornInterpolator(**SINKHORN | {"width": 4})
    torch.nn.init.dirac_(model.project.weight)
    torch.nn.init.zeros_(model.project.bias)
    first, last = textured((0, 0)), textured((4, 1))
    forward, backward, sure, _ = model.matches(first, last)
    inner = (slice(None), slice(None), slice(5, 11), slice(5, 11))
    assert forward[inner].mean((0, 2, 3)).tolist() == pytest.approx([4, 1], abs=0.4)
    assert backward[inner].mean((0, 2, 3)).tolist() == pytest.approx([-4, -1], abs=0.4)
    middle = model(first, last, torch.tensor([[0.5]]), torch.tensor([8.0])).z[:, 0]
    truth = textured((2, 0))[..., 6:10, 6:10] * 0.5 + textured((2, 1))[..., 6:10, 6:10] * 0.5
    straight = lerp(first, last, torch.tensor([[0.5]]), torch.tensor([8.0])).z[:, 0]
    error, linear = ((z[..., 6:10, 6:10] - truth).abs().mean() for z in (middle, straight))
    assert error < 0.5 * linear
    assert sure[:, 5:11, 5:11].mean() > 0.5


def test_the_window_follows_a_turning_picture():
    """With the turn among the angles, places far from the middle find themselves again; without it they leave the window."""
    first = textured((0, 0))
    last, misses = rotated(first, 20.0), {}
    places = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy")) - 7.5
    truth = torch.einsum("ij,jhw->ihw", turn_of_places(20.0, CPU), places) - places
    for angles in ([0.0], [-20.0, 0.0, 20.0]):
        model = SinkhornInterpolator(**SINKHORN | {"width": 4, "radius": 1, "angles": angles})
        torch.nn.init.dirac_(model.project.weight)
        torch.nn.init.zeros_(model.project.bias)
        turn, _ = model.global_motion(first, last)
        misses[len(angles)] = (model.matches(first, last)[0][0] - truth).norm(dim=0)[3:13, 3:13].mean()
    torch.testing.assert_close(turn[0], turn_of_places(20.0, CPU))
    assert misses[3] < 0.5 * misses[1]


def test_without_a_match_it_is_linear():
    model = SinkhornInterpolator(**SINKHORN)
    with torch.no_grad():
        model.dustbin.fill_(50.0)
    first, last = ends()
    tau, gap = torch.tensor([[0.3]] * 2), torch.tensor([5.0, 5.0])
    torch.testing.assert_close(model(first, last, tau, gap).z, lerp(first, last, tau, gap).z, atol=1e-3, rtol=0)
