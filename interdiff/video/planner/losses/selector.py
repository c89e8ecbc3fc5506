"""What the selector learns: costs of segments, and the best paths."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from interdiff.keyframes.losses import cost_regression_loss
from interdiff.keyframes.path_distribution import log_partition, marginals, path_potential
from interdiff.learning.training import Loss
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.selector import VideoSelector

FLOOR = 0.02
"""Costs below this, in mean squared errors summed over frames, are the same to every use of them."""


def selector_loss(
    clips: TrainingClips,
    seen_nij: Tensor | None,
    cost_nij: Tensor,
    labels: Mapping[int, Tensor],
    path_weight: float,
    uniform_weight: float,
) -> Loss:
    """Regression of segments' costs, and negative log likelihood of the best paths per keyframe between the ends.

    Costs alone choose well where they are predicted well; the likelihood spends what the network has on paths in question.
    Alone it has no scale to hold on to. Each step draws a number of keyframes.

    Args:
        seen_nij: costs [N, T, T] of a look at all clips in their order, where the selector looks.
        cost_nij: [N, T, T], what segments cost, infinite where j <= i.
        labels: K -> the best keyframes [N, K] int64.
        uniform_weight: of KL(density of keyframes || uniform), against a selector that always says the same.
    """
    counts = sorted(labels)
    i, j = torch.triu_indices(cost_nij.shape[1], cost_nij.shape[2], offset=2)

    def loss(model: VideoSelector, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        batch = clips.batch(progress)
        rows, embed = batch["row"].cpu(), batch["embed"].float()
        k = counts[int(torch.randint(len(counts), (), generator=generator, device=generator.device))]
        seen = None if seen_nij is None else seen_nij[rows].to(embed)
        features = model(embed, k)
        pairs = (index.to(embed.device).expand(len(embed), -1) for index in (i, j))
        regression = cost_regression_loss(model.costs.pairs(features, *pairs), cost_nij[rows][:, i, j].to(embed), FLOOR)
        scalars = {"loss": regression, "cost": regression}
        if path_weight or uniform_weight:
            potential = model.potentials(features, seen, k)
            likelihood = path_potential(potential, labels[k][rows].to(embed.device)) - log_partition(potential, k)
            scalars["path"] = -likelihood.mean() / (k - 2)
            scalars["loss"] = scalars["loss"] + path_weight * scalars["path"]
        if uniform_weight:
            density = marginals(potential, k)[:, 1:-1].clamp_min(1e-9) / (k - 2)
            scalars["kl"] = (density * (density * density.shape[1]).log()).sum(-1).mean()
            scalars["loss"] = scalars["loss"] + uniform_weight * scalars["kl"]
        return scalars

    return loss
