"""Phase 2 by noise levels per frame."""

from dataclasses import replace

import pytest
import torch
from test_video_two_phase import CLIPS, EMBED, FRAMES, NOISE, SHAPE, B, Clips, Ideal, T, seeded, two_phase

from interdiff.learning.training import Objective
from interdiff.video.backbone.flow_matching import take_frames
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.planner.forcing import HIDES, denoise_frames, frame_levels, partly_noisy
from interdiff.video.planner.losses.refiner import FilledClips, forcing_loss, nested_masks
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.refiner import EXACT, INEXACT, flat
from interdiff.video.planner.settings import RefinerSettings

MASK = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
EXACTS = torch.tensor([True, False, False, True])


def test_noise_hides_the_expected_error_within_bounds_and_anchors_keep_their_own():
    deviation = torch.linspace(0, 2, T)[None, :, None].expand(B, T, 8)
    levels = frame_levels(deviation, MASK, EXACTS, (0.3, 0.8))
    free = frame_levels(deviation, MASK, EXACTS, (0.0, 1.0))
    assert levels.shape == (B, T, 1)
    error = deviation[..., :1][~MASK]
    torch.testing.assert_close((1 - free[~MASK]) * error, free[~MASK] * HIDES)
    torch.testing.assert_close(levels[~MASK], free[~MASK].clamp(0.3, 0.8))
    for exact, level in zip(EXACTS, levels[MASK].view(B, -1), strict=True):
        assert (level == (EXACT if exact else INEXACT)).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_network_that_knows_the_clip_arrives_at_it_in_any_number_of_steps(steps):
    told = []

    class Knowing(Ideal):
        def forward(self, z, sigma, embed, frames, correction=False):
            told.append(sigma)
            return super().forward(z, sigma, embed, frames)

    level = frame_levels(torch.ones(B, T, 1), MASK, EXACTS, (0.3, 0.8))
    noisy = partly_noisy(flat(CLIPS), flat(NOISE), level, MASK)
    assert torch.equal(noisy[MASK], flat(CLIPS)[MASK])
    made = denoise_frames(Knowing(), noisy, level, EMBED, SHAPE, steps, lambda x: x)
    torch.testing.assert_close(made, flat(CLIPS), atol=1e-4, rtol=1e-4)
    expected = [level[..., 0] * (1 - step / steps) for step in range(steps)]
    torch.testing.assert_close(torch.stack(told), torch.stack(expected))


def test_the_velocity_leads_from_any_levels_to_the_clip():
    clips = Clips(frames=FRAMES[:, None], keyframes=take_frames(CLIPS, FRAMES)[:, None] + 0.3)
    filled = FilledClips(
        clips, nested_masks(line_costs(CLIPS), (4,), 3.0), lerp, RefinerSettings(objective="forcing", levels=[4])
    )
    batch = filled.draw(seeded(), 0.0)
    assert batch.level.shape == (B, T, 1)
    assert (batch.level >= EXACT).all()
    assert batch.level.unique().numel() > 4
    # Sampling makes anchors better and trusts them more, by the same share in each step.
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    error = (batch.degraded - batch.truth)[mask].abs().mean(-1)
    told = batch.level[..., 0][mask]
    torch.testing.assert_close(error[told > EXACT], 0.3 * told[told > EXACT] / told.max())
    assert Objective(filled.draw, forcing_loss)(Ideal(), seeded(), 0.0)["loss"] < 1e-6

    class Silent(torch.nn.Module):
        def forward(self, z, sigma, embed, frames, correction=False):
            return torch.zeros_like(z)

    assert Objective(filled.draw, forcing_loss)(Silent(), seeded(), 0.0)["loss"] > 0.5


def test_missing_frames_start_from_the_clips_own_noise():
    both = two_phase(Ideal(), keyframes=Ideal(), refiner_steps=1)
    plain = both.sample(NOISE, EMBED, seeded())
    seen = []

    class Seeing(Ideal):
        def forward(self, z, sigma, embed, frames, correction=False):
            seen.append((z, sigma))
            return super().forward(z, sigma, embed, frames)

    forced = replace(both, refiner=Seeing(), forced=(0.3, 0.8)).sample(NOISE, EMBED, seeded())
    assert torch.equal(forced.interpolated, plain.interpolated)
    torch.testing.assert_close(forced.refined, CLIPS, atol=1e-3, rtol=1e-3)
    (z, sigma), mask = seen[0], torch.zeros(B, T, dtype=torch.bool).scatter(1, forced.indices, True)
    assert (sigma[mask] == INEXACT).all()
    level = sigma[:, None, :, None, None]
    noise = (z - (1 - level) * forced.interpolated) / level
    torch.testing.assert_close(noise.movedim(2, 1)[~mask], NOISE.movedim(2, 1)[~mask], atol=1e-3, rtol=1e-3)
