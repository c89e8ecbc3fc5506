"""How planners fare in mazes never trained on: figures over many mazes, a few episodes in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.world.collisions import crossed
from interdiff.maze.world.layouts import OFFSET, Layout, occupancy
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import Episodes, at_goal, mean_and_error
from interdiff.maze.world.tracker import Policy, Reference


@dataclass(frozen=True)
class Driven:
    """One maze's episodes [E]: whether each reached its goal, and the first step there (0 where it did not)."""

    success: np.ndarray
    first_reach: np.ndarray


def drive(layout: Layout, cases: Episodes, policies: Sequence[Policy], steps: int) -> Driven:
    """One policy per episode, for so many steps."""
    rewards = at_goal(roll(PointMaze(layout), cases, policies, steps), cases.goals)
    return Driven(np.any(rewards, axis=1), rewards.argmax(axis=1))


def share_through_walls(layout: Layout, references: Sequence[Reference]) -> float:
    """Share of plans that leave free space somewhere."""
    grid = max(layout.walls.shape)
    walls = occupancy(layout, grid)
    return float(np.mean([crossed((reference.positions + OFFSET) / grid, walls) for reference in references]))


def mean_figures(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over mazes, by figure; none of no maze."""
    return {name: float(np.mean([maze[name] for maze in figures])) for name in (figures[0] if figures else ())}


def summary(driven: Sequence[Sequence[Driven]]) -> dict[str, float]:
    """Figures over mazes, in each of which every training seed drove; the standard error is over mazes, whose episodes are
    not independent, and seeds."""
    shares = np.array([[seed.success.mean() for seed in maze] for maze in driven])
    success = np.concatenate([seed.success for maze in driven for seed in maze])
    first_reach = np.concatenate([seed.first_reach for maze in driven for seed in maze])
    mean, error = mean_and_error(shares.T)
    return {
        "mazes": len(driven),
        "n": len(success),
        "success": mean,
        "success_se": error,
        "first_reach": float(first_reach[success].mean()) if success.any() else float("nan"),
    }
