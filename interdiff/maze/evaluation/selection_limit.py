"""How good keyframes can be that are chosen from the condition alone: the conditional limit, beside the policies.

A selector sees the start state and the target, not the controller's jitter and the action noise that the sequence then
met. The best it can do is the optimum of the expected cost matrix, which we estimate by re-simulating demonstrations of
the same condition. With n of them the estimate is pessimistic by the error of a mean of n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interdiff.files import load_arrays
from interdiff.keyframes.dynamic_programming import optimal_indices, path_cost
from interdiff.keyframes.segment_cost import Interpolation, all_segment_costs
from interdiff.maze.world.controller import NOISE, resimulate
from interdiff.maze.world.layouts import OFFSET, Layout
from interdiff.maze.world.paths import at_equal_times


@dataclass(frozen=True)
class Starts:
    """Start states [N, 4] (joint positions in units, velocities in units/s) and targets [N, 2].

    simulated [L]: the layouts whose demonstrations moved as in our simulator, which alone can be simulated again.
    """

    states: np.ndarray
    targets: np.ndarray
    simulated: np.ndarray


def load_starts(path: Path) -> Starts:
    """What the sequences of a split of goal-to-goal segments began with, in the coordinates of the simulator."""
    arrays = load_arrays(path, ("start", "target", "simulated", "grid", "flip_y"))
    grid, start = int(arrays["grid"]), arrays["start"].astype(float)
    target = arrays["target"].astype(float)
    if arrays["flip_y"]:  # costs do not change when a sequence is mirrored, but the simulator knows one side only
        start[:, 1], start[:, 3], target[:, 1] = 1 - start[:, 1], -start[:, 3], grid - 1 - target[:, 1]
    return Starts(np.concatenate([start[:, :2] * grid - OFFSET, start[:, 2:]], axis=1), target, arrays["simulated"])


def expected_cost(
    layout: Layout,
    start_state: np.ndarray,
    target: np.ndarray,
    frames: int,
    demonstrations: int,
    rng: np.random.Generator,
    noise: float = NOISE,
    interpolation: Interpolation = "linear",
) -> np.ndarray:
    """Mean exact segment cost [T, T] float32, in squared units, of demonstrations from one state [4] to one cell [2].

    They are resampled to T frames at equal times, as prepared sequences are.
    """
    cell = (float(target[0]), float(target[1]))
    runs = resimulate(layout, start_state, cell, rng, demonstrations, noise)
    positions = np.stack([at_equal_times(states[:, :2], frames) for states in runs])
    return all_segment_costs(positions, interpolation).mean(0)


def sample_rows(groups: Iterable[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `count` random rows of each group of rows, increasing within it."""
    return np.concatenate([np.sort(rng.permutation(rows)[:count]) for rows in groups])


def selection_row(
    exact_bij: np.ndarray,
    expected_bij: np.ndarray | None,
    chosen: dict[str, np.ndarray],
    k: int,
    gap_factor: float,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> dict[str, float]:
    """Cost ratios of N sequences at K keyframes.

    Args:
        exact_bij: [N, T, T] exact costs of the sequences; expected_bij: of their conditions, None where the simulator
            cannot tell: then there is no limit.
        chosen: keyframes [N, K] of each policy; "uniform" must be among them.
        gap_factor: bound on gaps of the optimum and of the limit (see `optimal_indices`).

    Returns:
        Per policy, and for "limit", the summed cost over the summed optimum; limit_se, the standard error of the
        limit's ratio by bootstrap over sequences; NAME_excess = (ratio - 1) / (uniform - 1) for all but uniform and
        random.
    """
    optimum = optimal_indices(exact_bij, k, gap_factor)[1].astype(float)
    if expected_bij is not None:
        chosen = chosen | {"limit": optimal_indices(expected_bij, k, gap_factor)[0]}
    costs = {name: path_cost(exact_bij, indices).astype(float) for name, indices in chosen.items()}
    ratios = {name: float(cost.sum() / optimum.sum()) for name, cost in costs.items()}
    error = {}
    if expected_bij is not None:
        draws = rng.integers(len(optimum), size=(resamples, len(optimum)))
        error["limit_se"] = float(np.std(costs["limit"][draws].sum(1) / optimum[draws].sum(1)))
    scale = ratios["uniform"] - 1
    relative = [name for name in ratios if name not in ("uniform", "random")]
    return ratios | error | {f"{name}_excess": (ratios[name] - 1) / scale for name in relative}
