"""Conditions of plans that are asked for: any layout, start states and goals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

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
    maps = occupancy(layout, cells)[None], signed_distance(layout, cells, resolution)[None]
    values = (torch.as_tensor(x, dtype=torch.float32, device=device) for x in (*maps, start, (goals + OFFSET) / cells))
    walls, sdf, start_b4, goal_b2 = values
    return Condition(walls, sdf, route_steps(walls, start_b4, goal_b2), start_b4, goal_b2)


def route_steps(occupancy: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    """Steps [B, 2, G * G] to every cell from normalised starts and goals [B, 2 or more], B / L in each of L maps [L, G, G]."""
    group = torch.arange(len(occupancy), device=goal.device).repeat_interleave(len(goal) // len(occupancy))
    steps, ends = steps_from_ends(occupancy, group, start, goal)
    return steps[ends]


def steps_from_ends(occupancy: Tensor, layout: Tensor, start: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """Steps int32 [P, G * G] from each cell of a map [L, G, G] that is an end, and the rows [N, 2] of starts and goals.

    Args:
        layout: [N], the number of the map that a start and goal [N, 2 or more], normalised, lie in.
    """
    cells = occupancy.shape[-1]
    row, col = (torch.stack([start[:, :2], goal[:, :2]], dim=1) * cells).long().clamp(0, cells - 1).unbind(-1)
    found, ends = (layout[:, None] * cells**2 + row * cells + col).unique(return_inverse=True)
    maps, places = np.divmod(found.numpy(force=True), cells**2)
    walls = occupancy.numpy(force=True)
    steps = [cell_steps(walls[number], places[maps == number]) for number in np.unique(maps)]
    table = np.concatenate(steps) if steps else np.empty((0, cells**2), dtype=np.int32)
    return torch.as_tensor(table, device=goal.device), ends
