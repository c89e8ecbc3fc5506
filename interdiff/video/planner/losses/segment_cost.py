"""What D_phi learns: costs of latents, or of the backbone's velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.keyframes.losses import cost_regression_loss
from interdiff.learning.processes import own_draws, processes
from interdiff.learning.training import Loss
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.segment_cost import VideoSegmentCost


def latent_cost_loss(clips: TrainingClips, cost_nij: Tensor, longest: int) -> Loss:
    """Regression of the exact costs [N, T, T] of all segments of 2 to `longest` frames, at noise level 0."""
    i, j = torch.triu_indices(cost_nij.shape[1], cost_nij.shape[2], offset=2)
    i, j = i[j - i <= longest], j[j - i <= longest]

    def loss(model: VideoSegmentCost, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        batch = clips.batch(progress)
        embed = batch["embed"].float()
        features = model(embed, embed.new_zeros(len(embed)))
        target = cost_nij[batch["row"].cpu()].to(embed)
        pairs = (index.to(embed.device).expand(len(embed), -1) for index in (i, j))
        return {"loss": cost_regression_loss(model.costs.pairs(features, *pairs), target[:, i, j])}

    return loss


def teacher_cost_loss(
    embeds_nld: Tensor, row: Tensor, i: Tensor, j: Tensor, sigma: Tensor, cost: Tensor, batch_size: int
) -> Loss:
    """Regression of the teacher's costs of measured segments: which clip, which frames, at which level, what cost, each [M]."""

    def loss(model: VideoSegmentCost, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        generator, device = own_draws(generator), generator.device
        drawn = torch.randint(len(row), (batch_size // processes(),), generator=generator, device=device).cpu()
        features = model(embeds_nld[row[drawn]].to(device), sigma[drawn].to(device))
        pairs = (index[drawn, None].to(device) for index in (i, j))
        return {"loss": cost_regression_loss(model.costs.pairs(features, *pairs)[:, 0], cost[drawn].to(device))}

    return loss
