"""The control that learns nothing: the search's path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.kinds.sequences import SequencePlanner
from interdiff.maze.world.layouts import OFFSET, Layout
from interdiff.maze.world.paths import shortest_path


@dataclass(frozen=True)
class ShortestPath(SequencePlanner):
    """T points evenly spaced along the middles of the cells of a shortest way."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return ()

    def seen(self, data: Prepared) -> Prepared:
        """Data as they are: the search needs no more."""
        return data

    def sequences(self, data: Prepared, rows: Tensor, held: Tensor | None, generator: torch.Generator) -> Tensor:
        paths = []
        for row in rows.tolist():
            walls = data.occupancy[data.layout[row]].numpy(force=True) > 0
            ends = (data.start[row, :2], data.goal[row])
            start, goal = (end.numpy(force=True).astype(float) * data.cells - OFFSET for end in ends)
            paths.append(shortest_path(Layout("searched", walls, None), start, goal, data.frames))
        positions = (np.stack(paths) + OFFSET) / data.cells
        states = np.concatenate([positions, np.gradient(positions, axis=1) * (data.frames - 1)], axis=-1)
        return torch.as_tensor(states, dtype=data.states.dtype, device=data.device)
