"""Conditions of plans that are asked for: any layout, start states and goals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.learning.networks import constant
from interdiff.learning.precision import full_precision
from interdiff.maze.planner.networks import Condition
from interdiff.maze.world.layouts import OFFSET, Layout, cell_steps, far, occupancy, signed_distance

NEIGHBOURHOOD = (0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0)
"""A filter of 3 x 3 cells: a cell and those that a step leads to."""


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
    steps = iterated_steps(walls, torch.zeros(len(states), dtype=torch.int64, device=device), start_b4, goal_b2)
    return Condition(walls, sdf, steps, start_b4, goal_b2)


def route_steps(occupancy: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    """Steps [B, 2, G * G] to every cell from normalised starts and goals [B, 2 or more], B / L in each of L maps [L, G, G]."""
    group = torch.arange(len(occupancy), device=goal.device).repeat_interleave(len(goal) // len(occupancy))
    steps, ends = steps_from_ends(occupancy, group, start, goal)
    return steps[ends]


@torch.no_grad()
@full_precision
def iterated_steps(occupancy: Tensor, layout: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    """Steps [N, 2, G * G] to every cell from starts and goals, by value iteration on the maps [L, G, G].

    Every round what is reached grows by its free neighbours, and what is not takes one step more, until nothing changes: the
    module of value iteration networks (Tamar et al. 2016) where each step costs one. Its convolutions count as arithmetic of
    the plan.

    Args:
        layout: [N], the number of the map that a start and goal [N, 2 or more], normalised, lie in.
    """
    cells = occupancy.shape[-1]
    free = (occupancy[layout] == 0).float().repeat_interleave(2, 0)[:, None]
    place = (torch.stack([start[:, :2], goal[:, :2]], dim=1) * cells).long().clamp(0, cells - 1).flatten(0, 1)
    reached = torch.zeros_like(free)
    reached.view(len(reached), -1).scatter_(1, place[:, :1] * cells + place[:, 1:], 1.0)
    reached = reached * free
    steps = 1 - reached
    neighbourhood = constant(NEIGHBOURHOOD, free.dtype, free.device).view(1, 1, 3, 3)
    for _ in range(cells):
        before = reached
        for _ in range(cells):
            reached = (F.conv2d(reached, neighbourhood, padding=1) * free).clamp(max=1.0)
            steps += 1 - reached
        if torch.equal(reached, before):
            break
    return torch.where(reached > 0, steps, float(far(cells))).view(len(layout), 2, -1)


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
