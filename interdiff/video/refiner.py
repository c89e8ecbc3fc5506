"""Phase 2: the backbone on the whole clip, whose missing frames were filled; every frame's error is its noise level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from interdiff.corruption import with_anchor_errors, with_noise
from interdiff.distributed import own_draws
from interdiff.interpolation import Fill
from interdiff.nested_masks import nested_ranks
from interdiff.sampler import Refine
from interdiff.training import Loss
from interdiff.video.batches import TrainingClips
from interdiff.video.interpolators import Interpolator, fill
from interdiff.video.settings import RefinerSettings
from interdiff.video.wan import WanDenoiser

EXACT, INEXACT = 0.02, 0.15
"""Noise levels that anchors count as: those of the clip itself, and phase 1's."""
LARGEST = 1.0


def flat(z_bcthw: Tensor) -> Tensor:
    """Clips as sequences [B, T, C H W], which is what both domains' corruption and sampler work on."""
    return rearrange(z_bcthw, "b c t h w -> b t (c h w)")


def filling_with(interpolator: Interpolator, shape: Sequence[int]) -> Fill:
    """An interpolator of clips of a shape [C, H, W] as a `Fill` of sequences; the deviation is its expected error."""
    channels, height, width = shape

    def filled(values_btc: Tensor, mask_bt: Tensor) -> tuple[Tensor, Tensor]:
        clips = rearrange(values_btc, "b t (c h w) -> b c t h w", c=channels, h=height, w=width)
        z, error = fill(clips, mask_bt, interpolator)
        return flat(z), repeat(error, "b t h w -> b t (c h w)", c=channels)

    return filled


def noise_levels(deviation_btc: Tensor, mask_bt: Tensor, exact_b: Tensor) -> Tensor:
    """What noise level each place counts as, [B, T, C]: its expected error, or what its kind of anchor is trusted with."""
    anchors = torch.where(exact_b, EXACT, INEXACT)[:, None, None]
    return torch.where(mask_bt[..., None], anchors, deviation_btc.clamp(EXACT, LARGEST))


def refined(
    model: WanDenoiser, degraded_btc: Tensor, level_btc: Tensor, embed_bld: Tensor, shape: Sequence[int]
) -> Tensor:
    """One pass of phase 2 over sequences [B, T, C H W]: clean = degraded - level * velocity, as of any noisy frame.

    Levels are those of places, so what the interpolator is sure of hardly moves; the network is told their root mean square
    over a frame.
    """
    channels, height, width = shape
    z = rearrange(degraded_btc, "b t (c h w) -> b c t h w", c=channels, h=height, w=width)
    frames = torch.arange(z.shape[2], device=z.device).expand(len(z), -1)
    told = level_btc.square().mean(-1).sqrt()
    return degraded_btc - level_btc * flat(model(z, told, embed_bld, frames))


def refine(model: WanDenoiser, embed_bld: Tensor, shape: Sequence[int]) -> Refine:
    """Phase 2 as the sampler over nested levels takes it; its anchors are phase 1's."""
    inexact = torch.zeros(len(embed_bld), dtype=torch.bool, device=embed_bld.device)

    def pass_over(degraded: Tensor, mask: Tensor, deviation: Tensor) -> Tensor:
        return refined(model, degraded, noise_levels(deviation, mask, inexact), embed_bld, shape)

    return pass_over


def nested_masks(
    cost_nij: np.ndarray, levels: Sequence[int], max_gap_factor: float
) -> Callable[[Tensor, Tensor, torch.Generator], Tensor]:
    """Masks of random nested levels that grow from given keyframes by the oracle's costs.

    Returns:
        (rows [B], keyframes [B, K], generator) -> masks [B, T] bool, a level for each sample.
    """

    def masks(rows: Tensor, indices: Tensor, generator: torch.Generator) -> Tensor:
        cost = cost_nij[rows.numpy(force=True)]
        counts = [indices.shape[1], *(level for level in levels if level > indices.shape[1])]
        ranks = nested_ranks(lambda k: cost, counts, max_gap_factor, indices.numpy(force=True))
        level = torch.randint(len(counts), (len(rows), 1), generator=generator, device=generator.device)
        return torch.from_numpy(ranks).to(generator.device) <= level

    return masks


def root_mean_square(x_btc: Tensor) -> Tensor:
    """Of each sequence: [B]."""
    return torch.linalg.vector_norm(x_btc, dim=(1, 2)) / x_btc[0].numel() ** 0.5


def refiner_loss(
    clips: TrainingClips,
    rank_masks: Callable[[Tensor, Tensor, torch.Generator], Tensor],
    interpolator: Interpolator,
    settings: RefinerSettings,
) -> Loss:
    """The energy score of refined clips (Gneiting & Raftery 2007, equation 22), with exact anchors and with phase 1's.

    What is missing has several answers. Errors alone ask for something in the middle of them, which is blurred; that two
    draws of noise shall also differ as much as each errs asks for clips that are distributed as real ones are.

    Args:
        clips: batches of `latent`, `embed`, and of anchors: `frames` [B, R, K] and phase 1's `keyframes` [B, R, C, K, H, W].
        rank_masks: (rows [B], keyframes [B, K], generator) -> masks [B, T] of a random level, the keyframes among them.
    """

    def loss(model: WanDenoiser, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        batch = clips.batch(progress)
        generator = own_draws(generator)
        z, embed = batch["latent"].float(), batch["embed"].float()
        count, device = len(z), generator.device
        which = torch.randint(batch["frames"].shape[1], (count,), generator=generator, device=device)
        each = torch.arange(count, device=device)
        indices, cached = batch["frames"][each, which], batch["keyframes"][each, which].float()
        wrong, exact = with_anchor_errors(
            flat(z), flat(cached), indices, "linear", settings.replace_probability, settings.jitter, generator
        )
        mask = rank_masks(batch["row"], indices, generator)
        shape = (z.shape[1], *z.shape[3:])
        with torch.no_grad():
            filled, deviation = filling_with(interpolator, shape)(wrong, mask)
            level = noise_levels(deviation, mask, exact)
            filled, deviation, level, embed, truth = (
                torch.cat([x, x]) for x in (filled, deviation, level, embed, flat(z))
            )
            degraded = with_noise(filled, deviation, settings.noise, generator, still=True)
        output = refined(model, degraded, level, embed, shape)
        error, before = (root_mean_square(x - truth).mean() for x in (output, degraded))
        spread = root_mean_square(torch.sub(*output.chunk(2))).mean()
        return {"loss": error - spread / 2, "error": error, "spread": spread, "before": before}

    return loss
