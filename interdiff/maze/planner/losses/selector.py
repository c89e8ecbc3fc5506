"""What the selector learns: the paths that dynamic programming over D_phi's costs finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.path_distribution import log_partition, marginals, path_potential
from interdiff.learning.processes import share
from interdiff.learning.training import Loss
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import SelectorSettings


@torch.no_grad()
def distilled_labels(segment_cost: SegmentCostModel, condition: Condition, k: int, gap_factor: float) -> Tensor:
    """Keyframes [B, K] int64 that are optimal under D_phi's predicted costs."""
    indices, _ = optimal_indices(segment_cost.all_costs(segment_cost(condition)), k, gap_factor)
    return torch.as_tensor(indices.astype(np.int64), device=condition.start.device)


def selector_loss(
    data: Prepared, segment_cost: SegmentCostModel, levels: Sequence[int], settings: SelectorSettings
) -> Loss:
    """Negative log likelihood of DP(D_phi)'s paths, per keyframe, at a random level per step.

    Args:
        levels: numbers of keyframes K > 2 to learn.
        settings: `gumbel` adds that much Gumbel noise to the potentials, the temperature that divides them moves
            linearly to its final value, `kl_to_uniform` weighs KL(density of keyframes || uniform).
    """

    def loss(model: KeyframeSelector, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        drawn = data.random_rows(settings.training.batch_size, generator)
        (rows,) = share(drawn)
        condition = data.condition(rows)
        k = levels[int(torch.randint(len(levels), (), generator=generator, device=generator.device))]
        potential = model.potentials(model(condition, k), k)
        if settings.gumbel:
            noise = potential.new_empty(len(drawn), *potential.shape[1:]).exponential_(generator=generator).log()
            (noise,) = share(noise)
            potential = potential - settings.gumbel * noise
        potential = potential / (settings.temperature + progress * (settings.final_temperature - settings.temperature))
        labels = distilled_labels(segment_cost, condition, k, model.max_gap_factor)
        likelihood = path_potential(potential, labels) - log_partition(potential, k)
        scalars = {"loss": -likelihood.mean() / (k - 2)}
        if settings.kl_to_uniform:
            density = marginals(potential, k)[:, 1:-1].clamp_min(1e-9) / (k - 2)
            scalars["kl"] = (density * (density * density.shape[1]).log()).sum(-1).mean()
            scalars["loss"] = scalars["loss"] + settings.kl_to_uniform * scalars["kl"]
        return scalars

    return loss
