"""What the selector learns: the paths that dynamic programming over D_phi's costs finds.

B samples, T frames, K keyframes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.losses import kl_to_uniform, path_negative_log_likelihood
from interdiff.learning import draws
from interdiff.learning.processes import share
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import SelectorSettings


@dataclass(frozen=True)
class PathBatch:
    """Conditions, D_phi's best paths [B, K], and what disturbs the potentials: noise [B, T, T] and a temperature."""

    condition: Condition
    k: int
    paths: Tensor
    noise: Tensor | None
    temperature: float
    uniform_weight: float


@dataclass(frozen=True)
class Paths:
    """The best paths of random conditions, at a random level per step.

    levels: numbers of keyframes K > 2 to learn; settings: the temperature moves linearly to its final value.
    """

    data: Prepared
    segment_cost: SegmentCostModel
    levels: Sequence[int]
    gap_factor: float
    settings: SelectorSettings

    def draw(self, generator: torch.Generator, progress: float) -> PathBatch:
        """Rows, a level and Gumbel noise."""
        settings, frames, device = self.settings, self.data.frames, self.data.device
        drawn = self.data.random_rows(settings.training.batch_size, generator)
        condition = self.data.condition(share(drawn)[0], self.data.groups(settings.training.batch_size))
        k = self.levels[draws.integer(len(self.levels), generator)]
        noise = None
        if settings.gumbel:
            exponential = draws.exponential((len(drawn), frames, frames), generator, device)
            noise = settings.gumbel * share(exponential.log())[0]
        temperature = settings.temperature + progress * (settings.final_temperature - settings.temperature)
        paths = distilled_labels(self.segment_cost, condition, k, self.gap_factor)
        return PathBatch(condition, k, paths, noise, temperature, settings.kl_to_uniform)


@torch.no_grad()
def distilled_labels(segment_cost: SegmentCostModel, condition: Condition, k: int, gap_factor: float) -> Tensor:
    """Keyframes [B, K] int64 that are optimal under D_phi's predicted costs."""
    indices, _ = optimal_indices(segment_cost.all_costs(segment_cost(condition)), k, gap_factor)
    return torch.as_tensor(indices.astype(np.int64), device=condition.start.device)


def selector_loss(model: KeyframeSelector, batch: PathBatch) -> dict[str, Tensor]:
    """Negative log likelihood of the paths, per keyframe (Lafferty et al. 2001, section 3), and entropy control."""
    potential = model.potentials(model(batch.condition, batch.k), batch.k)
    if batch.noise is not None:
        potential = potential - batch.noise
    potential = potential / batch.temperature
    scalars = {"loss": path_negative_log_likelihood(potential, batch.paths, batch.k)}
    if batch.uniform_weight:
        scalars["kl"] = kl_to_uniform(potential, batch.k)
        scalars["loss"] = scalars["loss"] + batch.uniform_weight * scalars["kl"]
    return scalars
