"""Choice of K keyframes of T by dynamic programming over an additive segment cost.

The first and the last frame are always kept. `reach[i]` is the furthest frame that a segment starting at frame i may end
at: it carries both the bound on the gap and the frames that a nested mask must keep.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from interdiff.errors import InputError


def max_gap(frames: int, k: int, factor: float) -> int:
    """Longest segment allowed for K keyframes of T: `factor` times the uniform gap, at most T - 1."""
    return min(frames - 1, math.ceil(factor * (frames - 1) / (k - 1)))


@numba.njit(cache=True)
def _shortest_path(cost_ij, k, reach, indices):
    frames = cost_ij.shape[0]
    best = np.full(frames, np.inf, np.float32)
    best[0] = 0.0
    parent = np.zeros((k, frames), np.int16)
    for step in range(1, k):
        following = np.full(frames, np.inf, np.float32)
        step_parent = parent[step]
        for i in range(step - 1, frames - 1):
            if best[i] < np.inf:
                row = cost_ij[i]
                base = best[i]
                for j in range(i + 1, reach[i] + 1):
                    candidate = base + row[j]
                    better = candidate < following[j]
                    following[j] = candidate if better else following[j]
                    step_parent[j] = i if better else step_parent[j]
        best = following
    j = frames - 1
    for step in range(k - 1, -1, -1):
        indices[step] = j
        j = parent[step, j]
    return best[frames - 1]


@numba.njit(cache=True, parallel=True)
def _shortest_paths(cost_bij, k, reach_bi, indices_bk, total_b):
    for b in numba.prange(cost_bij.shape[0]):
        total_b[b] = _shortest_path(cost_bij[b], k, reach_bi[b], indices_bk[b])


def optimal_indices(
    cost_bij: np.ndarray, k: int, gap_factor: float, keep: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest path of K keyframes through every cost matrix.

    Args:
        cost_bij: [B, T, T] float32, cost of the segment from frame i to frame j > i.
        k: number of keyframes, 2 <= k <= T, both ends included.
        gap_factor: no segment is longer than this many uniform gaps.
        keep: [B, T] bool, frames that the path must visit (for nested masks).

    Returns:
        indices [B, K] int16, increasing from 0 to T - 1, and their cost [B] float32.

    Raises:
        InputError: K does not fit in T, or no path of K keyframes keeps the gap bound and the frames in `keep`.
    """
    batch, frames, _ = cost_bij.shape
    if not 2 <= k <= frames:
        raise InputError(f"K = {k} keyframes do not fit in T = {frames} frames: expected 2 <= K <= T")
    reach = np.minimum(np.arange(frames) + max_gap(frames, k, gap_factor), frames - 1)
    reach_bi = np.repeat(reach[None], batch, axis=0)
    if keep is not None:
        reach_bi = np.minimum(reach_bi, _next_kept(keep))
    indices, total = np.zeros((batch, k), np.int16), np.zeros(batch, np.float32)
    _shortest_paths(np.ascontiguousarray(cost_bij, np.float32), k, reach_bi, indices, total)
    if not np.isfinite(total).all():
        raise InputError(
            f"no path of K = {k} keyframes of {frames} keeps the max_gap factor {gap_factor} and the kept frames"
        )
    return indices, total


def _next_kept(keep_bt: np.ndarray) -> np.ndarray:
    """For every frame the next kept frame after it (T - 1 at the end): [B, T] bool -> [B, T] int."""
    frames = keep_bt.shape[1]
    position = np.where(keep_bt, np.arange(frames), frames - 1)
    following = np.minimum.accumulate(position[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([following[:, 1:], np.full_like(following[:, :1], frames - 1)], axis=1)


def path_cost(cost_bij: np.ndarray, indices_bk: np.ndarray) -> np.ndarray:
    """Summed segment costs of given keyframes: [B, T, T], [B, K] -> [B]."""
    index = indices_bk.astype(int)
    rows = np.arange(len(index))[:, None]
    return cost_bij[rows, index[:, :-1], index[:, 1:]].sum(1)


def global_indices(cost_bij: np.ndarray, k: int, gap_factor: float) -> np.ndarray:
    """One path of K keyframes for all sequences: the optimum of the summed cost matrix, [K] int16."""
    return optimal_indices(cost_bij.sum(0, keepdims=True, dtype=np.float64), k, gap_factor)[0][0]


def uniform_indices(frames: int, k: int) -> np.ndarray:
    """K equally spaced keyframes: [K] int16."""
    return np.linspace(0, frames - 1, k).round().astype(np.int16)


def random_indices(batch: int, frames: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Both ends and K - 2 random frames between them: [B, K] int16."""
    order = rng.random((batch, frames - 2)).argsort(axis=1)[:, : k - 2] + 1
    ends = np.tile([0, frames - 1], (batch, 1))
    return np.sort(np.concatenate([ends, order], axis=1), axis=1).astype(np.int16)
