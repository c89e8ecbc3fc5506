"""Phase 2 by noise levels per frame, in the manner of Diffusion Forcing (Chen et al. 2024).

Frames that phase 1 made keep a low level. Those between them get noise that hides the interpolator's expected error, and
the backbone makes them anew, in sight of the others and of what the noise leaves of the interpolation: it adds the motion
and detail that no interpolation has.

B clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from interdiff.learning.draws import moved
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.planner.refiner import anchored, refined

HIDES = 0.5
"""The deviation of noise, beside an error of 1, that hides it."""


def frame_levels(deviation_btc: Tensor, mask_bt: Tensor, exact_b: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Noise levels of frames, [B, T, 1]: (1 - level) error = level HIDES, within bounds, with a frame's root mean square error.

    Args:
        deviation_btc: the interpolator's expected error.
        mask_bt: anchors, which count as what their kind is trusted with: exact ones, or phase 1's.
    """
    error = deviation_btc.square().mean(-1, keepdim=True).sqrt()
    return anchored((error / (error + HIDES)).clamp(*bounds), mask_bt, exact_b)


def partly_noisy(filled_btc: Tensor, noise_btc: Tensor, level_bt1: Tensor, mask_bt: Tensor) -> Tensor:
    """Filled sequences whose missing frames are at their noise levels; anchors stay as they are."""
    noisy = torch.lerp(filled_btc, noise_btc, level_bt1)
    return torch.where(moved(mask_bt, noisy.device)[..., None], filled_btc, noisy)


@torch.no_grad()
def denoise_frames(
    model: WanDenoiser,
    noisy_btc: Tensor,
    level_bt1: Tensor,
    embed_bld: Tensor,
    shape: Sequence[int],
    steps: int,
    project: Callable[[Tensor], Tensor],
) -> Tensor:
    """Clean sequences by Euler steps, in each of which all frames go the same share of the way to level 0.

    project: applied to what each step has made.
    """
    z = noisy_btc
    for step in range(steps):
        left = (steps - step - 1) / (steps - step)
        clean = refined(model, z, level_bt1 * ((steps - step) / steps), embed_bld, shape, correction=False)
        z = project(torch.lerp(clean, z, left))
    return z
