"""Nested keyframe masks: the noise levels of phase 2.

A rank [B, T] says at which level a frame becomes an anchor: 0 at the coarsest level, len(levels) for frames that never
do. The mask of level s is rank <= s, so masks are nested by construction: the least informative frame leaves first and
the most informative one comes back first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.shapes import check_shapes


def index_mask(indices_bk: np.ndarray, frames: int) -> np.ndarray:
    """Indices [B, K] -> bool mask [B, T]."""
    check_shapes("indices_bk B K", indices_bk)
    mask = np.zeros((len(indices_bk), frames), bool)
    np.put_along_axis(mask, indices_bk.astype(int), True, axis=1)
    return mask


def nested_ranks(
    cost_of_level: Callable[[int], np.ndarray],
    levels: Sequence[int],
    gap_factor: float,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Ranks of nested masks with `levels` keyframes each, coarse to fine.

    Every level is the optimal path through its own cost matrix that keeps all keyframes of the level before.

    Args:
        cost_of_level: K -> cost_bij [B, T, T].
        levels: increasing numbers of keyframes.
        gap_factor: see `optimal_indices`.
        start: [B, levels[0]] indices to use for the coarsest level instead of its optimum.

    Returns:
        rank [B, T] uint8.
    """
    if start is None:
        start = optimal_indices(cost_of_level(levels[0]), levels[0], gap_factor)[0]
    check_shapes("start B K", start, K=levels[0])
    frames = int(start[0, -1]) + 1
    mask = index_mask(start, frames)
    rank = np.where(mask, 0, len(levels)).astype(np.uint8)
    for level, k in enumerate(levels[1:], start=1):
        mask = index_mask(optimal_indices(cost_of_level(k), k, gap_factor, keep=mask)[0], frames)
        rank = np.minimum(rank, np.where(mask, level, len(levels))).astype(np.uint8)
    return rank


def levels_from(levels: Sequence[int], k: int) -> list[int]:
    """The numbers of keyframes of masks that grow from K through the finer levels."""
    return [k, *(level for level in levels if level > k)]


def levels_of_steps(levels: Sequence[int], k: int, steps: int, key: str = "refiner_steps") -> list[int]:
    """The keyframe counts that `steps` passes of phase 2 run at: K first, the others spread over the finer levels.

    Raises:
        InputError: there are fewer counts than steps (says so of the setting `key`).
    """
    counts = levels_from(levels, k)
    if steps > len(counts):
        raise InputError(f"{key}: {steps}; expected at most {len(counts)}, the passes from K={k} over {levels}")
    return [counts[round(step * (len(counts) - 1) / max(1, steps - 1))] for step in range(steps)]


def random_nested_ranks(start: np.ndarray, levels: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Ranks [B, T] uint8 of nested masks that begin with `start` [B, levels[0]] and grow by frames in random order."""
    check_shapes("start B K", start, K=levels[0])
    frames = int(start[0, -1]) + 1
    priority = np.where(index_mask(start, frames), -1.0, rng.random((len(start), frames)))
    return np.searchsorted(np.asarray(levels), priority.argsort(axis=1).argsort(axis=1), side="right").astype(np.uint8)
