"""Choice of K keyframes of T by dynamic programming over an additive segment cost.

The first and the last frame are always kept. `reach[i]` is the furthest frame that a segment starting at frame i may end
at: it carries both the bound on the gap and the frames that a nested mask must keep.
"""

from __future__ import annotations

import numpy as np

from interdiff.errors import InputError
from interdiff.keyframes.compiled import njit, prange
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.shapes import check_shapes


@njit(cache=True)
def _relax(best, row, base):
    for j in range(best.shape[0]):
        candidate = base + row[j]
        best[j] = candidate if candidate < best[j] else best[j]


@njit(cache=True)
def _shortest_path(cost_ij, k, reach, best_kt, indices):
    frames = cost_ij.shape[0]
    # The earliest frame from which the end can be reached in the segments that are left; reach never decreases.
    earliest = np.full(k, frames - 1)
    for left in range(1, k):
        i = earliest[left - 1]
        while i > 0 and reach[i - 1] >= earliest[left - 1]:
            i -= 1
        earliest[left] = i
    best_kt[:] = np.inf
    best_kt[0, 0] = 0.0
    for step in range(1, k):
        left = k - 1 - step
        first, last = max(step, earliest[left]), frames - 1 - left
        for i in range(max(step - 1, earliest[left + 1]), last):
            start, stop = max(i + 1, first), min(reach[i], last) + 1
            if best_kt[step - 1, i] < np.inf and stop > start:
                _relax(best_kt[step, start:stop], cost_ij[i, start:stop], best_kt[step - 1, i])
    # No table of parents: the one frame whose candidate equals the optimum is found again on the way back.
    j = frames - 1
    indices[k - 1] = j
    for step in range(k - 1, 0, -1):
        for i in range(step - 1, j):
            if reach[i] >= j and best_kt[step - 1, i] + cost_ij[i, j] == best_kt[step, j]:
                j = i
                break
        indices[step - 1] = j
    return best_kt[k - 1, frames - 1]


@njit(cache=True, parallel=True)
def _shortest_paths(cost_bij, k, reach_bi, indices_bk, total_b):
    for b in prange(cost_bij.shape[0]):
        best_kt = np.empty((k, cost_bij.shape[1]), np.float32)
        total_b[b] = _shortest_path(cost_bij[b], k, reach_bi[b], best_kt, indices_bk[b])


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
    check_shapes("cost_bij B T T, keep B T", cost_bij, keep)
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
    check_shapes("cost_bij B T T, indices_bk B K", cost_bij, indices_bk)
    index = indices_bk.astype(int)
    rows = np.arange(len(index))[:, None]
    return cost_bij[rows, index[:, :-1], index[:, 1:]].sum(1)


def global_indices(cost_bij: np.ndarray, k: int, gap_factor: float) -> np.ndarray:
    """One path of K keyframes for all sequences: the optimum of the summed cost matrix, [K] int16."""
    check_shapes("cost_bij B T T", cost_bij)
    return optimal_indices(cost_bij.sum(0, keepdims=True, dtype=np.float64), k, gap_factor)[0][0]


def uniform_indices(frames: int, k: int) -> np.ndarray:
    """K equally spaced keyframes: [K] int16."""
    return np.linspace(0, frames - 1, k).round().astype(np.int16)


def random_indices(batch: int, frames: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Both ends and K - 2 random frames between them: [B, K] int16."""
    order = rng.random((batch, frames - 2)).argsort(axis=1)[:, : k - 2] + 1
    ends = np.tile([0, frames - 1], (batch, 1))
    return np.sort(np.concatenate([ends, order], axis=1), axis=1).astype(np.int16)
