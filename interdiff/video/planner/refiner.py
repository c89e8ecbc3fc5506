"""Phase 2: the backbone on the whole clip, whose missing frames were filled; every frame's error is its noise level.

B clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interdiff.axes import rearrange, repeat
from interdiff.errors import InputError
from interdiff.learning.draws import moved
from interdiff.learning.networks import zero
from interdiff.two_phase.interpolation import Fill
from interdiff.two_phase.sampler import Refine
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.interpolators.interpolator import Interpolator, fill

EXACT, INEXACT = 0.02, 0.15
"""Noise levels that anchors count as: those of the clip itself, and phase 1's."""
LARGEST = 1.0


def flat(z_bcthw: Tensor) -> Tensor:
    """Clips as sequences [B, T, C H W], which is what both domains' corruption and sampler work on."""
    return rearrange(z_bcthw, "b c t h w -> b t (c h w)")


def unflat(x_btc: Tensor, shape: Sequence[int]) -> Tensor:
    """Sequences [B, T, C H W] as clips [B, C, T, H, W] of frames of a shape [C, H, W]."""
    channels, height, width = shape
    return rearrange(x_btc, "b t (c h w) -> b c t h w", c=channels, h=height, w=width)


def filling_with(interpolator: Interpolator, shape: Sequence[int]) -> Fill:
    """An interpolator of clips of a shape [C, H, W] as a `Fill` of sequences; the deviation is its expected error."""

    def filled(values_btc: Tensor, mask_bt: Tensor) -> tuple[Tensor, Tensor]:
        z, error = fill(unflat(values_btc, shape), mask_bt, interpolator)
        return flat(z), repeat(error, "b t h w -> b t (c h w)", c=shape[0])

    return filled


def noise_levels(deviation_btc: Tensor, mask_bt: Tensor, exact_b: Tensor) -> Tensor:
    """What noise level each place counts as, [B, T, C]: its expected error, or what its kind of anchor is trusted with."""
    return anchored(deviation_btc.clamp(EXACT, LARGEST), mask_bt, exact_b)


def anchored(level_btc: Tensor, mask_bt: Tensor, exact_b: Tensor) -> Tensor:
    """Levels of missing frames, and of anchors what their kind is trusted with: exact ones [B], or phase 1's."""
    anchors = torch.where(exact_b, EXACT, INEXACT)[:, None, None]
    return torch.where(moved(mask_bt, anchors.device)[..., None], anchors, level_btc)


def none_exact(embed_bld: Tensor) -> Tensor:
    """That the anchors of no prompt are exact, [B]: in sampling they are phase 1's."""
    return torch.zeros(len(embed_bld), dtype=torch.bool, device=embed_bld.device)


def refined(
    model: WanDenoiser,
    degraded_btc: Tensor,
    level_btc: Tensor,
    embed_bld: Tensor,
    shape: Sequence[int],
    correction: bool = True,
) -> Tensor:
    """One pass of phase 2 over sequences [B, T, C H W]: clean = degraded - level * correction.

    Levels are those of places, so what the interpolator is sure of hardly moves; the network is told their root mean square
    over a frame. Without `correction` its answer is the velocity, as of any noisy frame.
    """
    z = unflat(degraded_btc, shape)
    frames = torch.arange(z.shape[2], device=z.device).expand(len(z), -1)
    told = level_btc.square().mean(-1).sqrt()
    return degraded_btc - level_btc * flat(model(z, told, embed_bld, frames, correction=correction))


def start_from_fill(model: WanDenoiser) -> None:
    """Makes the last layer zero, so that phase 2 begins with the filled clip as it is; a LoRA begins with Wan's velocity.

    Raises:
        InputError: a LoRA of a backbone that preconditions, whose answer alone is no velocity.
    """
    if model.transformer.proj_out.weight.requires_grad:
        zero(model.transformer.proj_out)
    elif model.preconditioned:
        raise InputError("refiner.tuning.kind: lora: expected full, for a backbone that was trained here")


def refine(model: WanDenoiser, embed_bld: Tensor, shape: Sequence[int]) -> Refine:
    """Phase 2 as the sampler over nested levels takes it; its anchors are phase 1's."""
    inexact = none_exact(embed_bld)

    def pass_over(degraded: Tensor, mask: Tensor, deviation: Tensor) -> Tensor:
        return refined(model, degraded, noise_levels(deviation, mask, inexact), embed_bld, shape)

    return pass_over
