"""Conditions of plans that are asked for: any layout, start states and goals."""

from __future__ import annotations

import numpy as np
import torch

from interdiff.maze.planner.networks import Condition
from interdiff.maze.world.layouts import OFFSET, Layout, cell_steps, occupancy, signed_distance


def condition_of(
    layout: Layout, states: np.ndarray, goals: np.ndarray, cells: int, resolution: int, device: torch.device
) -> Condition:
    """The condition of plans in one layout from states [N, 4] to goals [N, 2] in joint coordinates.

    Args:
        cells: side of the grid that the networks were trained with.
        resolution: samples of the signed distance per cell.

    Raises:
        InputError: the layout does not fit the grid.
    """
    start = np.concatenate([(states[:, :2] + OFFSET) / cells, states[:, 2:]], axis=1)
    walls = occupancy(layout, cells)
    maps = walls[None], signed_distance(layout, cells, resolution)[None], cell_steps(walls)[None]
    values = (*maps, start, (goals + OFFSET) / cells)
    return Condition(*(torch.as_tensor(value, dtype=torch.float32, device=device) for value in values))
