"""Exact costs and DP masks of many trajectories, against the sampled estimator with a plain per-trajectory DP.

python -m benchmarks.selection [trajectories] [threads] [plain]: seconds for `trajectories` (60,000) random walks of
T = 128 and all of LEVELS on `threads` (2) cores, compilation left out, then the same by the research log's way for
`plain` (200) of them on one core, scaled to all. The bar is 15 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numba
import numpy as np

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.segment_cost import all_segment_costs, sampled_segment_costs

FRAMES = 128
LEVELS = (2, 3, 4, 5, 6, 7, 8, 12, 16, 32)
GAP_FACTOR = 2.5
CHUNK = 512
SAMPLES = 16


def main() -> None:
    """Prints both times and their ratio."""
    defaults = (60_000, 2, 200)
    given = [int(word) for word in sys.argv[1:]]
    count, threads, plain = (*given, *defaults[len(given) :])
    numba.set_num_threads(threads)
    _exact(_walks(1))
    costs, paths = np.zeros(2)
    for x_btd in _chunks(count):
        seconds = _exact(x_btd)
        costs, paths = costs + seconds[0], paths + seconds[1]
    total = costs + paths
    print(
        f"exact + DP: {total:.1f} s for {count:,} on {threads} threads (costs {costs:.1f} s, DP {paths:.1f} s)",
        flush=True,
    )
    x_btd = _walks(plain)
    start = time.perf_counter()
    for cost_ij in sampled_segment_costs(x_btd, SAMPLES, np.random.default_rng(0)):
        for k in LEVELS:
            plain_path(cost_ij, k, max_gap(FRAMES, k, GAP_FACTOR))
    scaled = (time.perf_counter() - start) * count / plain
    print(f"sampled + plain DP: {scaled:,.0f} s for {count:,} on 1 thread, scaled from {plain}")
    print(f"ratio: {scaled / total:,.0f}")


def plain_path(cost_ij: np.ndarray, k: int, longest: int) -> np.ndarray:
    """The cheapest path of K keyframes through one cost matrix [T, T], one NumPy minimum per keyframe: [K]."""
    frames = len(cost_ij)
    t = np.arange(frames)
    allowed = np.where(t[None, :] - t[:, None] <= longest, cost_ij, np.inf)
    best, parents = np.where(t == 0, 0.0, np.inf), []
    for _ in range(k - 1):
        candidates = best[:, None] + allowed
        parents.append(candidates.argmin(0))
        best = candidates[parents[-1], t]
    path = [frames - 1]
    for parent in reversed(parents):
        path.append(parent[path[-1]])
    return np.array(path[::-1])


def _walks(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random walks [count, T, 2] float32."""
    steps = np.random.default_rng(seed).normal(size=(count, FRAMES, 2))
    return (steps.cumsum(1).cumsum(1) * 1e-2).astype(np.float32)


def _chunks(count: int) -> Iterator[np.ndarray]:
    for first in range(0, count, CHUNK):
        yield _walks(min(CHUNK, count - first), seed=first)


def _exact(x_btd: np.ndarray) -> tuple[float, float]:
    """Seconds for costs and for the paths of all levels."""
    start = time.perf_counter()
    cost_bij = all_segment_costs(x_btd)
    middle = time.perf_counter()
    for k in LEVELS:
        optimal_indices(cost_bij, k, GAP_FACTOR)
    return middle - start, time.perf_counter() - middle


if __name__ == "__main__":
    main()
