"""Clips that motion does not explain: scene cuts, clips in which nothing moves, one shape that passes behind another."""

import pytest
import torch

from interdiff.learning import draws
from interdiff.video.interpolators.calibrated import Calibrated
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.losses import MomentsBatch, error_scales, interpolator_loss, random_moments
from interdiff.video.interpolators.methods import sinkhorn
from interdiff.video.interpolators.methods.flow import FlowInterpolator
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.smooth import smooth
from interdiff.video.interpolators.settings import LossSettings, SinkhornSettings
from interdiff.video.interpolators.straightener import Straightened, Straightener

C, T, SIDE, SHAPE = 2, 9, 12, 4
FLOW = {"channels": C, "width": 16, "pair_blocks": 2, "time_blocks": 1, "gap_conditioning": True, "time_mask": True}
FLOW |= {"cost_radius": 3, "cost_scale": 1, "residual": True, "scale": 1}
MARGIN = 1.02
"""Of the error of lerp, which the row with fallback may leave on hard clips."""


def colour(generator):
    return torch.randn(C, generator=generator)[:, None, None, None]


def covered(start, velocity):
    """Where a square is, in each frame: [T, SIDE, SIDE] bool; it goes round at the borders."""
    at = (start + velocity * torch.arange(T)[:, None]).round().long() % SIDE
    row, column = ((torch.arange(SIDE) - corner[:, None]) % SIDE < SHAPE for corner in at.unbind(1))
    return row[:, :, None] & column[:, None]


def moving(generator, speed=1.0):
    """A square on a ground, both of one colour, that moves evenly: [C, T, SIDE, SIDE]."""
    start = torch.randint(SIDE, (2,), generator=generator)
    velocity = speed * (torch.rand(2, generator=generator) - 0.5)
    return torch.where(covered(start, velocity), colour(generator), colour(generator))


def still(generator):
    """Nothing moves."""
    return moving(generator, speed=0.0)


def cut(generator):
    """One scene, and from the middle on another."""
    before, after = moving(generator), moving(generator)
    return torch.where(torch.arange(T)[:, None, None] < T // 2, before, after)


def hidden(generator):
    """A square passes behind a bar."""
    clip = moving(generator, speed=2.0)
    bar = (torch.arange(SIDE) - SIDE // 2).abs() < 2
    return torch.where(bar, colour(generator), clip)


KINDS = {"still": still, "cut": cut, "hidden": hidden, "moving": moving}


def clips(kind, count, seed):
    generator = draws.generator_of(seed)
    return torch.stack([KINDS[kind](generator) for _ in range(count)])


def filled(model, z):
    """Clips of which both ends alone are known, filled; and the expected errors."""
    mask = torch.zeros(z.shape[0], T, dtype=torch.bool)
    mask[:, [0, -1]] = True
    with torch.no_grad():
        return fill(z, mask, model)


@pytest.fixture(scope="module")
def trained():
    """A small flow with fallback that has seen all kinds, calibrated on others."""
    torch.manual_seed(0)
    model, generator = FlowInterpolator(**FLOW, fallback=True), draws.generator_of(0)
    every = torch.cat([clips(kind, 128, seed=1) for kind in KINDS])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        rows = torch.randint(len(every), (16,), generator=generator)
        batch = MomentsBatch(random_moments(every[rows], 2, generator), None, LossSettings(likelihood=1.0), T)
        interpolator_loss(model, batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    scales = error_scales(model, torch.cat([clips(kind, 32, seed=2) for kind in KINDS]), 4, generator)
    calibrated = Calibrated(model, *scales.shape)
    calibrated.scales.copy_(scales)
    return calibrated


def straightened():
    torch.manual_seed(0)
    return Straightened(Straightener(C, 2, "convolutional", 8, 1), lerp)


def matching():
    torch.manual_seed(0)
    return sinkhorn.build(C, **SinkhornSettings().model_dump())


UNTRAINED = {
    "lerp": lambda: lerp,
    "smooth": lambda: smooth,
    "flow": lambda: FlowInterpolator(**FLOW),
    "sinkhorn": matching,
    "straightened": straightened,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", UNTRAINED)
def test_no_clip_breaks_a_method(method, kind):
    z = clips(kind, 4, seed=3)
    found, expected = filled(UNTRAINED[method](), z)
    assert found.isfinite().all()
    assert expected.isfinite().all()
    assert (expected >= 0).all()
    if kind == "still":
        torch.testing.assert_close(found, z, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fallback_is_hardly_worse_than_the_line_on_any_kind(trained, kind):
    z = clips(kind, 64, seed=4)
    off, straight = ((filled(model, z)[0] - z).abs().mean() for model in (trained, lerp))
    assert off <= MARGIN * straight + 3e-3


def test_what_moves_evenly_is_still_found(trained):
    z = clips("moving", 64, seed=4)
    off, straight = ((filled(model, z)[0] - z).abs().mean() for model in (trained, lerp))
    assert off < 0.95 * straight


def test_more_error_is_expected_where_there_is_more(trained):
    expected = {kind: filled(trained, clips(kind, 64, seed=5))[1].mean() for kind in KINDS}
    assert expected["still"] < 0.3 * expected["cut"]
    assert expected["hidden"] < expected["cut"]
