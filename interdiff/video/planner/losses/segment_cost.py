"""What D_phi learns: costs of latents, or of the backbone's velocity.

B clips of N, P segments of each, T frames, M measured segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.keyframes.losses import cost_regression_loss
from interdiff.learning import draws
from interdiff.learning.draws import moved
from interdiff.learning.processes import of_batch, parts
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.segment_cost import VideoSegmentCost


@dataclass(frozen=True)
class CostBatch:
    """Prompts [B, L, D], noise levels [B], and the costs [B, P] of segments i < j [B, P]."""

    embed: Tensor
    sigma: Tensor
    i: Tensor
    j: Tensor
    cost: Tensor


def all_segments(cost_nij: Tensor, rows: Tensor, longest: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """First and last frames of the segments of 2 to `longest` frames, and what they cost in B rows: three of [B, M]."""
    i, j = torch.triu_indices(cost_nij.shape[1], cost_nij.shape[2], offset=2, device="cpu")
    i, j = i[j - i <= longest], j[j - i <= longest]
    cost = moved(cost_nij[rows][:, i, j], device)
    first, last = (moved(index, device).expand(len(rows), -1) for index in (i, j))
    return first, last, cost


@dataclass(frozen=True)
class LatentCosts:
    """All segments of 2 to `longest` frames with their exact costs [N, T, T], at noise level 0."""

    clips: TrainingClips
    cost: Tensor
    longest: int

    def draw(self, generator: torch.Generator, progress: float) -> CostBatch:
        """Clips alone."""
        batch = self.clips.batch(progress)
        embed = batch["embed"].float()
        i, j, target = all_segments(self.cost, batch["row"], self.longest, embed.device)
        return CostBatch(embed, embed.new_zeros(len(embed)), i, j, target)


@dataclass(frozen=True)
class TeacherCosts:
    """Measured segments: which clip, which frames, at which level, what cost, each [M]; embeds [N, L, D]."""

    embeds: Tensor
    row: Tensor
    i: Tensor
    j: Tensor
    sigma: Tensor
    cost: Tensor
    batch_size: int

    def draw(self, generator: torch.Generator, progress: float) -> CostBatch:
        """Segments, one of a clip."""
        count, device = self.batch_size // parts(), self.embeds.device
        drawn = draws.integers(len(self.row), (count,), of_batch(generator), "cpu")
        i, j, cost = (moved(values[drawn, None], device) for values in (self.i, self.j, self.cost))
        embed = self.embeds[moved(self.row[drawn], device)]
        return CostBatch(embed, moved(self.sigma[drawn], device), i, j, cost)


def segment_cost_loss(model: VideoSegmentCost, batch: CostBatch) -> dict[str, Tensor]:
    """Gamma deviance of predicted costs (McCullagh & Nelder 1989, section 8.3.2)."""
    predicted = model.costs.pairs(model(batch.embed, batch.sigma), batch.i, batch.j)
    return {"loss": cost_regression_loss(predicted, batch.cost)}
