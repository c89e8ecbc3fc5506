"""What the selector learns: costs of segments, and the best paths.

B clips of N, T frames, K keyframes, P segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.keyframes.losses import cost_regression_loss, kl_to_uniform, path_negative_log_likelihood
from interdiff.learning import draws
from interdiff.learning.draws import moved
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.losses.segment_cost import all_segments
from interdiff.video.planner.selector import VideoSelector

FLOOR = 0.02
"""Costs below this, in mean squared errors summed over frames, are the same to every use of them."""


@dataclass(frozen=True)
class PathBatch:
    """Prompts [B, L, D], a look's costs [B, T, T], costs [B, P] of segments i < j [B, P], and the best paths [B, K]."""

    embed: Tensor
    seen: Tensor | None
    i: Tensor
    j: Tensor
    cost: Tensor
    paths: Tensor
    k: int
    path_weight: float
    uniform_weight: float


@dataclass(frozen=True)
class Paths:
    """Clips with their costs and best paths; each step draws a number of keyframes.

    seen: costs [N, T, T] of a look at all clips in their order, where the selector looks; cost: [N, T, T], what segments
    cost, infinite where j <= i; labels: K -> the best keyframes [N, K] int64; uniform_weight: of KL(density of keyframes ||
    uniform), against a selector that always says the same.
    """

    clips: TrainingClips
    seen: Tensor | None
    cost: Tensor
    labels: Mapping[int, Tensor]
    path_weight: float
    uniform_weight: float

    def draw(self, generator: torch.Generator, progress: float) -> PathBatch:
        """Clips and K."""
        batch, counts = self.clips.batch(progress), sorted(self.labels)
        rows, embed = batch["row"], batch["embed"].float()
        k = counts[draws.integer(len(counts), generator)]
        i, j, cost = all_segments(self.cost, rows, self.cost.shape[1], embed.device)
        seen = None if self.seen is None else moved(self.seen[rows], embed.device)
        paths = moved(self.labels[k][rows], embed.device)
        return PathBatch(embed, seen, i, j, cost, paths, k, self.path_weight, self.uniform_weight)


def selector_loss(model: VideoSelector, batch: PathBatch) -> dict[str, Tensor]:
    """Gamma deviance of costs (McCullagh & Nelder 1989, section 8.3.2) and negative log likelihood of the best paths.

    The likelihood is that of a conditional random field (Lafferty et al. 2001, section 3).

    Costs alone choose well where they are predicted well; the likelihood spends what the network has on paths in question.
    Alone it has no scale to hold on to.
    """
    features = model(batch.embed, batch.k)
    regression = cost_regression_loss(model.costs.pairs(features, batch.i, batch.j), batch.cost, FLOOR)
    scalars = {"loss": regression, "cost": regression}
    if batch.path_weight or batch.uniform_weight:
        potential = model.potentials(features, batch.seen, batch.k)
        scalars["path"] = path_negative_log_likelihood(potential, batch.paths, batch.k)
        scalars["loss"] = scalars["loss"] + batch.path_weight * scalars["path"]
    if batch.uniform_weight:
        scalars["kl"] = kl_to_uniform(potential, batch.k)
        scalars["loss"] = scalars["loss"] + batch.uniform_weight * scalars["kl"]
    return scalars
