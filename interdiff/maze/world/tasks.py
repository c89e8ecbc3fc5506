"""D4RL's tasks: starts, goals, rewards and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interdiff.errors import InputError
from interdiff.maze.world.layouts import MAPS, Layout
from interdiff.maze.world.packages import d4rl
from interdiff.maze.world.simulator import GOAL_RADIUS

STEPS = {"umaze": 300, "medium": 600, "large": 800, "umaze_eval": 300, "medium_eval": 600, "large_eval": 800}
"""Length of an episode by map."""
REFERENCE_SCORES = {
    "umaze": (23.85, 161.86),
    "medium": (13.13, 277.39),
    "large": (6.7, 273.99),
    "umaze_eval": (36.63, 141.4),
    "medium_eval": (13.07, 204.93),
    "large_eval": (16.4, 302.22),
}
"""Returns of D4RL's random policy and of its reference controller, where the package d4rl is not there to ask."""


@dataclass(frozen=True)
class Episodes:
    """Start states [N, 4] and goals [N, 2] of one cell of the table, the same for every planner."""

    states: np.ndarray
    goals: np.ndarray


def episodes(layout: Layout, task: str, n: int, seed: int) -> Episodes:
    """D4RL's starts (a random free cell +-0.1, velocities N(0, 0.1^2)); goals: the map's, or random in task "multi"."""
    rng = np.random.default_rng(seed)
    cells = np.array(layout.free_cells, dtype=float)

    def near_cells() -> np.ndarray:
        return cells[rng.integers(len(cells), size=n)] + rng.uniform(-0.1, 0.1, (n, 2))

    states = np.concatenate([near_cells(), rng.normal(0, 0.1, (n, 2))], axis=1)
    if task == "multi":
        return Episodes(states, near_cells())
    if layout.goal is None:
        raise InputError(f"map {layout.name!r}: task {task!r} needs a goal 'G'")
    return Episodes(states, np.tile(np.array(layout.goal, dtype=float), (n, 1)))


def at_goal(positions: np.ndarray, goals: np.ndarray, radius: float = GOAL_RADIUS) -> np.ndarray:
    """D4RL's sparse reward: whether each of positions [N, steps, 2] is within `radius` of its goal [N, 2]; bool."""
    return np.linalg.norm(positions - goals[:, None], axis=-1) <= radius


def d4rl_name(layout: Layout) -> str | None:
    """The D4RL map that a layout is, whatever its name; None where it is another."""
    return next((name for name, ascii_map in MAPS.items() if ascii_map == layout.ascii), None)


def reference_scores(name: str) -> tuple[float, float]:
    """The returns between which D4RL normalises a map's: of its random policy and of its reference controller."""
    return d4rl.reference_scores(name) or REFERENCE_SCORES[name]


def mean_and_error(values_sn: np.ndarray) -> tuple[float, float]:
    """Mean of values [S, N] of S training seeds in the same N cases, and its standard error.

    The variances of the mean over cases and, where there are several, over seeds add up.
    """
    seeds, cases = values_sn.shape
    variance = values_sn.mean(0).var(ddof=1) / cases
    if seeds > 1:
        variance += values_sn.mean(1).var(ddof=1) / seeds
    return float(values_sn.mean()), float(np.sqrt(variance))


def scores(rewards: np.ndarray, name: str | None) -> dict[str, float]:
    """Figures of rewards [S, N, steps] of S training seeds in N episodes: every step at the goal counts once, none after
    leaving it.

    name: the D4RL map; None for others, which have no score.
    """
    returns, reached = rewards.sum(axis=-1), rewards.any(axis=-1)
    figures = {"n": returns.size, "return_mean": float(returns.mean())}
    if name is not None:
        low, high = reference_scores(name)
        score, error = mean_and_error(100 * (returns - low) / (high - low))
        figures |= {"score": score, "score_se": error}
    first = float(rewards.argmax(axis=-1)[reached].mean()) if reached.any() else float("nan")
    return figures | {"success": float(reached.mean()), "first_reach": first}
