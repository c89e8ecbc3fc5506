"""What phase 2 learns: clips that are distributed as real ones, from filled ones.

B clips, C channels, T frames of which K are keyframes, H x W latents, R sets of keyframes, L rows of text, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.nested_masks import levels_from, nested_ranks
from interdiff.learning import draws
from interdiff.learning.draws import Stream, moved
from interdiff.learning.processes import of_batch
from interdiff.two_phase.corruption import with_anchor_errors, with_noise
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import TrainingClips
from interdiff.video.interpolators.interpolator import Interpolator
from interdiff.video.planner.forcing import frame_levels, partly_noisy
from interdiff.video.planner.refiner import EXACT, filling_with, flat, noise_levels, refined
from interdiff.video.planner.settings import FilledSettings, RefinerSettings


def nested_masks(
    cost_nij: np.ndarray, levels: Sequence[int], max_gap_factor: float
) -> Callable[[Tensor, Tensor, Stream], Tensor]:
    """Masks of random nested levels that grow from given keyframes by the oracle's costs, all on the CPU.

    Returns:
        (rows [B], keyframes [B, K], stream) -> masks [B, T] bool, a level for each sample.
    """

    def masks(rows: Tensor, indices: Tensor, stream: Stream) -> Tensor:
        cost = cost_nij[rows.numpy()]
        counts = levels_from(levels, indices.shape[1])
        ranks = nested_ranks(lambda k: cost, counts, max_gap_factor, indices.numpy())
        return torch.from_numpy(ranks) <= draws.integers(len(counts), (len(rows), 1), stream, "cpu")

    return masks


def root_mean_square(x_btc: Tensor) -> Tensor:
    """Of each sequence: [B]."""
    return torch.linalg.vector_norm(x_btc, dim=(1, 2)) / x_btc[0].numel() ** 0.5


@dataclass(frozen=True)
class RefinerBatch:
    """Filled clips as sequences [B, T, C H W], and what they are told and should become.

    level [B, T, C H W or 1], embed [B, L, D], truth [B, T, C H W]; shape: of a clip's frame, C, H, W. The energy score
    takes each clip twice, with two draws of noise.
    """

    degraded: Tensor
    level: Tensor
    embed: Tensor
    truth: Tensor
    shape: Sequence[int]


@dataclass(frozen=True)
class Filled:
    """Filled clips as sequences, their expected error `deviation`, and the `truth`, [B, T, C H W].

    mask: anchors [B, T]; exact: whether they are, [B]; embed: prompts [B, L, D]; shape: of a clip's frame, C, H, W.
    """

    filled: Tensor
    deviation: Tensor
    truth: Tensor
    mask: Tensor
    exact: Tensor
    embed: Tensor
    shape: Sequence[int]


@dataclass(frozen=True)
class FillingClips:
    """Clips whose anchors carry phase 1's errors or none, filled by the interpolator, at a random nested level.

    clips: batches of `latent`, `embed`, and of anchors: `frames` [B, R, K] and phase 1's `keyframes` [B, R, C, K, H, W];
    rank_masks: (rows [B], keyframes [B, K], stream) -> masks [B, T] of a random level, the keyframes among them.
    """

    clips: TrainingClips
    rank_masks: Callable[[Tensor, Tensor, Stream], Tensor]
    interpolator: Interpolator
    settings: FilledSettings

    def filled(self, progress: float, stream: Stream) -> Filled:
        """Clips, which of their anchors, errors and masks."""
        batch, settings = self.clips.batch(progress), self.settings
        z, embed = batch["latent"].float(), batch["embed"].float()
        which = draws.integers(batch["frames"].shape[1], (len(z),), stream, "cpu")
        each = torch.arange(len(z), device="cpu")
        indices = batch["frames"][each, which]
        cached = batch["keyframes"][tuple(moved(torch.stack([each, which]), z.device))].float()
        wrong, exact = with_anchor_errors(
            flat(z),
            flat(cached),
            moved(indices, z.device),
            "linear",
            settings.replace_probability,
            settings.jitter,
            stream,
        )
        mask = self.rank_masks(batch["row"], indices, stream)
        shape = (z.shape[1], *z.shape[3:])
        filled, deviation = filling_with(self.interpolator, shape)(wrong, mask)
        return Filled(filled, deviation, flat(z), mask, exact, embed, shape)


@dataclass(frozen=True)
class FilledClips(FillingClips):
    """What phase 2 learns from."""

    settings: RefinerSettings

    @torch.no_grad()
    def draw(self, generator: torch.Generator, progress: float) -> RefinerBatch:
        """Filled clips and noise, as the objective takes them."""
        stream = of_batch(generator)
        filled = self.filled(progress, stream)
        return self._forced(filled, stream) if self.settings.objective == "forcing" else self._twice(filled, stream)

    def _twice(self, of: Filled, stream: Stream) -> RefinerBatch:
        """The energy score's: every clip with two draws of noise."""
        level = noise_levels(of.deviation, of.mask, of.exact)
        filled, deviation, level, embed, truth = (
            torch.cat([x, x]) for x in (of.filled, of.deviation, level, of.embed, of.truth)
        )
        degraded = with_noise(filled, deviation, self.settings.noise, stream, still=True)
        return RefinerBatch(degraded, level, embed, truth, of.shape)

    def _forced(self, of: Filled, stream: Stream) -> RefinerBatch:
        """Diffusion Forcing's: half of the clips as sampling starts with them, and half as it goes on: nearer to the truth,
        anchors too.
        """
        batch, device = len(of.filled), of.filled.device
        level = frame_levels(of.deviation, of.mask, of.exact, self.settings.missing_levels)
        starts = draws.uniform((batch, 1, 1), stream, device) < 0.5
        share = torch.where(starts, 1.0, draws.uniform((batch, 1, 1), stream, device))
        anchors = moved(of.mask, device)[..., None]
        base = torch.where(anchors, torch.lerp(of.truth, of.filled, share), torch.where(starts, of.filled, of.truth))
        # At level 0 there is nothing to learn, and an error to divide by it.
        level = (level * share).clamp_min(EXACT)
        noise = draws.normal(base.shape, stream, device)
        return RefinerBatch(partly_noisy(base, noise, level, of.mask), level, of.embed, of.truth, of.shape)


def forcing_loss(model: WanDenoiser, batch: RefinerBatch) -> dict[str, Tensor]:
    """Mean squared error of the velocity, at levels that differ between frames (Chen et al. 2024, algorithm 1)."""
    clean = refined(model, batch.degraded, batch.level, batch.embed, batch.shape, correction=False)
    away = clean - batch.truth
    before = root_mean_square(batch.degraded - batch.truth).mean()
    return {"loss": (away / batch.level).square().mean(), "error": root_mean_square(away).mean(), "before": before}


def energy_loss(model: WanDenoiser, batch: RefinerBatch) -> dict[str, Tensor]:
    """The energy score of refined clips (Gneiting & Raftery 2007, equation 22), with exact anchors and with phase 1's.

    What is missing has several answers. Errors alone ask for something in the middle of them, which is blurred; that two
    draws of noise shall also differ as much as each errs asks for clips that are distributed as real ones are.
    """
    output = refined(model, batch.degraded, batch.level, batch.embed, batch.shape)
    error, before = (root_mean_square(x - batch.truth).mean() for x in (output, batch.degraded))
    spread = root_mean_square(torch.sub(*output.chunk(2))).mean()
    return {"loss": error - spread / 2, "error": error, "spread": spread, "before": before}


LOSSES = {"energy": energy_loss, "forcing": forcing_loss}
"""By objective."""
