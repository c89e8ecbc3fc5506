"""Controls that make all T points at once."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import uniform_indices
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.plans import AnyPlanner, Plans
from interdiff.maze.planner.refiner import OwnRefiner, Refiner
from interdiff.maze.planner.settings import Policy, SamplingSettings


@dataclass(frozen=True)
class SequencePlanner(AnyPlanner):
    """What has no phases, in their place: its interpolated sequence is the one that it makes, its keyframes some of that."""

    refiner: Refiner | OwnRefiner
    settings: SamplingSettings

    def by(self, policy: Policy) -> AnyPlanner:
        return self

    @abstractmethod
    def sequences(self, data: Prepared, rows: Tensor, held: Tensor | None, generator: torch.Generator) -> Tensor:
        """States [B, T, 4] in normalised units for rows of one layout; `held` [B, T] bool: where they are the data's own."""

    def keyframes(self, data: Prepared, masks: Masks | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Equally spaced ones [N, K]; all ranks [N, T] are the coarsest."""
        count = len(data.states)
        spaced = torch.as_tensor(
            uniform_indices(data.frames, self.settings.counts[-1]).astype(np.int64), device=data.device
        )
        return spaced.expand(count, -1), torch.zeros(count, data.frames, dtype=torch.uint8, device=data.device)

    @torch.no_grad()
    def plan(
        self, data: Prepared, rows: Tensor, indices: Tensor, ranks: Tensor, generator: torch.Generator, oracle: bool
    ) -> Plans:
        """Sequences for rows of one layout; `oracle` holds the ground truth at keyframes [B, K]."""
        held = None
        if oracle:
            held = torch.zeros(len(rows), data.frames, dtype=torch.bool, device=data.device).scatter(1, indices, True)
        made = self.sequences(data, rows, held, generator)
        keyframes = made.gather(1, indices[..., None].expand(-1, -1, made.shape[-1]))
        return Plans(indices, ranks, keyframes, made, made)
