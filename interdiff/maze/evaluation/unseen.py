"""How planners fare in mazes never trained on: figures over many mazes, a few episodes in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.world.collisions import crossed
from interdiff.maze.world.layouts import OFFSET, Layout, occupancy
from interdiff.maze.world.tasks import Episodes, at_goal
from interdiff.maze.world.tracker import Policy, Reference


@dataclass(frozen=True)
class Driven:
    """One maze's episodes [E]: whether each reached its goal, and the first step there (0 where it did not)."""

    success: np.ndarray
    first_reach: np.ndarray


def drive(layout: Layout, cases: Episodes, policies: Sequence[Policy], steps: int) -> Driven:
    """One policy per episode, for so many steps."""
    rewards = at_goal(roll(layout, cases, policies, steps), cases.goals)
    return Driven(np.any(rewards, axis=1), rewards.argmax(axis=1))


def share_through_walls(layout: Layout, references: Sequence[Reference]) -> float:
    """Share of plans that leave free space somewhere."""
    grid = max(layout.walls.shape)
    walls = occupancy(layout, grid)
    return float(np.mean([crossed((reference.positions + OFFSET) / grid, walls) for reference in references]))


def mean_figures(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over mazes, by figure; none of no maze."""
    return {name: float(np.mean([maze[name] for maze in figures])) for name in (figures[0] if figures else ())}


def summary(driven: Sequence[Driven]) -> dict[str, float]:
    """Figures over mazes; the standard error is over mazes, whose episodes are not independent."""
    shares = np.array([maze.success.mean() for maze in driven])
    success = np.concatenate([maze.success for maze in driven])
    first_reach = np.concatenate([maze.first_reach for maze in driven])
    return {
        "mazes": len(driven),
        "n": len(success),
        "success": float(shares.mean()),
        "success_se": float(shares.std(ddof=1) / np.sqrt(len(shares))),
        "first_reach": float(first_reach[success].mean()) if success.any() else float("nan"),
    }
