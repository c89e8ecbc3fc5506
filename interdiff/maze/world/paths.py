"""Paths: resampled in time, and the search's through a maze, in joint coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interdiff.maze.world.controller import route
from interdiff.maze.world.layouts import Layout


def at_equal_times(rows: np.ndarray, frames: int) -> np.ndarray:
    """Rows [n, C] at T equal times, linearly between them, both ends included: [T, C]."""
    at, known = np.linspace(0, len(rows) - 1, frames), np.arange(len(rows))
    return np.stack([np.interp(at, known, column) for column in rows.T], axis=1)


def cell_of(position: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """The cell of a joint position: w spans [w - 0.7, w + 0.3] of joint positions."""
    return int(np.floor(position[0] + 0.7)), int(np.floor(position[1] + 0.7))


def shortest_path(layout: Layout, state: np.ndarray, goal: np.ndarray, frames: int) -> np.ndarray:
    """The way [T, 2] from a state's position to a goal [2] over corridor centres, T points evenly spaced along it."""
    start, target = cell_of(state[:2]), (round(float(goal[0])), round(float(goal[1])))
    corners = [state[:2], *(np.subtract(cell, 0.2) for cell in route(layout, start, target)[:-1]), goal]
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    at = np.linspace(0, lengths[-1], frames)
    return np.stack([np.interp(at, lengths, axis) for axis in np.transpose(corners)], axis=1)
