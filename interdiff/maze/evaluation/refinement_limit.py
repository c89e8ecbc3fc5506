"""How much error any phase 2 must leave: what demonstrations through the same keyframes differ by.

A refiner that is given the true keyframes knows start, target and K states of the path, not the controller's jitter and the
action noise between them. Its best estimate is the mean of demonstrations through these keyframes. None of those that we
re-simulate goes through them exactly; but they are nearly Gaussian around their mean, so that this mean is linear in the
states at both ends of a segment, and we regress it on them. With n demonstrations the estimate is pessimistic by about 9 / n,
the share of the regression's parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from interdiff.maze.world.paths import at_equal_times
from interdiff.maze.world.simulator import TIMESTEP

_RIDGE = 1.0
"""Pseudo-demonstrations that say that nothing follows from the ends: they are few beside the real ones."""


def resampled(demonstrations: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """Demonstrations [steps + 1, 4], a row every 0.01 s, at `frames` equal times: [n, T, 4].

    Positions are in units, velocities per duration, as in prepared sequences.
    """
    paths = []
    for states in demonstrations:
        paths.append(at_equal_times(states * np.array([1, 1, *[(len(states) - 1) * TIMESTEP] * 2]), frames))
    return np.stack(paths)


def best_estimate(demonstrations: np.ndarray, truth: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Positions [T, 2] as they are expected from the true states at `indices` [K], increasing, first and last included.

    demonstrations: [n, T, 4] of the same start and target; truth: [T, 4], of which only the keyframes are looked at.
    """
    estimate = truth[:, :2].copy()
    for first, last in pairwise(indices.tolist()):
        inner = slice(first + 1, last)
        if last - first > 1:
            ends = np.concatenate([demonstrations[:, first], demonstrations[:, last]], axis=1)
            known = np.concatenate([truth[first], truth[last]])
            mean, spread = ends.mean(0), np.maximum(ends.std(0), 1e-6)
            ends, known = (ends - mean) / spread, (known - mean) / spread
            paths = demonstrations[:, inner, :2].reshape(len(demonstrations), -1)
            middle = paths.mean(0)
            weights = np.linalg.solve(ends.T @ ends + _RIDGE * np.eye(8), ends.T @ (paths - middle))
            estimate[inner] = (middle + known @ weights).reshape(-1, 2)
    return estimate


def limit_row(errors: dict[str, np.ndarray]) -> dict[str, float]:
    """Figures of squared errors [N] by name: interp and refined with the true keyframes, and limit, that of `best_estimate`.

    Each is a mean; refined_ratio and limit_ratio are over interp, and limit_ratio_se is the standard error of the latter.
    """
    means = {f"mse_{name}": float(values.mean()) for name, values in errors.items()}
    ratio = means["mse_limit"] / means["mse_interp"]
    spread = (errors["limit"] - ratio * errors["interp"]).std(ddof=1) / np.sqrt(len(errors["limit"]))
    return means | {
        "refined_ratio": means["mse_refined"] / means["mse_interp"],
        "limit_ratio": ratio,
        "limit_ratio_se": float(spread / means["mse_interp"]),
    }
