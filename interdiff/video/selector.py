"""The selector: keyframes from the prompt, and from the costs of what a look at the noise shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframe_crf import log_partition, marginals, path_potential
from interdiff.keyframe_dp import max_gap, optimal_indices
from interdiff.pair_costs import PairCosts, path_potentials
from interdiff.segment_cost import cost_regression_loss
from interdiff.training import Loss
from interdiff.video.batches import TrainingClips
from interdiff.video.segment_cost import FrameFeatures

SCALE_RATE = 10.0
"""Precision and trust learn this much faster than the weights: they must follow what those can tell apart."""
FLOOR = 0.02
"""Costs below this, in mean squared errors summed over frames, are the same to every use of them."""


class VideoSelector(nn.Module):
    """A distribution of keyframe paths from a prompt and a look: segment potentials, told the number of keyframes.

    A look's own exact costs are added to what the prompt lets expect, each as much as it proves worth in training: as
    features of the network they would be learned by heart from some hundred clips.
    """

    def __init__(self, frames: int, features: int, looks: bool, max_gap_factor: float, **size: Any) -> None:
        super().__init__()
        self.looks, self.max_gap_factor = looks, max_gap_factor
        self.network = FrameFeatures(frames, 2 * features, conditions=2, **size)
        self.costs = PairCosts(frames)
        self.log_precision = nn.Parameter(torch.tensor([1.0, 1.0]) / SCALE_RATE)
        self.log_trust = nn.Parameter(torch.tensor([1.0, 1.0]) / SCALE_RATE) if looks else None

    def forward(self, embed_bld: Tensor, k: int) -> Tensor:
        """Features [B, T, 2 H]."""
        share = k / self.network.frames
        condition = embed_bld.new_tensor([share, math.sqrt(share)]).expand(len(embed_bld), -1)
        return self.network(embed_bld, condition)

    def potentials(self, features_btc: Tensor, seen_bij: Tensor | None, k: int) -> Tensor:
        """Segment potentials [B, T, T] of paths of K keyframes; `seen_bij` are a look's costs, where the selector looks."""

        def cost(i: Tensor, j: Tensor) -> Tensor:
            expected = _at(k, self.log_precision) * self.costs.pairs(features_btc, i, j)
            if self.log_trust is None:
                return expected
            assert seen_bij is not None
            return expected + _at(k, self.log_trust) * seen_bij.flatten(1).gather(1, i * self.network.frames + j)

        return path_potentials(cost, features_btc, max_gap(self.network.frames, k, self.max_gap_factor))

    @torch.no_grad()
    def path_costs(self, embed_bld: Tensor, seen_bij: Tensor | None, k: int) -> np.ndarray:
        """Costs [B, T, T] float32 whose cheapest path is the most probable one of K keyframes."""
        return -self.potentials(self(embed_bld, k), seen_bij, k).float().numpy(force=True)

    def select(self, embed_bld: Tensor, seen_bij: Tensor | None, k: int) -> np.ndarray:
        """Keyframes [B, K] int16."""
        return optimal_indices(self.path_costs(embed_bld, seen_bij, k), k, self.max_gap_factor)[0]


def _at(k: int, log_scale: Tensor) -> Tensor:
    """A scale that is a power of K, from its log at K = 4 and its exponent, both over `SCALE_RATE`."""
    level, slope = SCALE_RATE * log_scale
    return (level + slope * math.log(k / 4)).exp()


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
