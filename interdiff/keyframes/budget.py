"""How many keyframes a sequence needs: the fewest whose predicted cost is tolerable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import path_cost
from interdiff.keyframes.shapes import check_shapes


def predicted_costs(
    cost_bij: np.ndarray, indices_of: Callable[[int], np.ndarray], counts: list[int]
) -> dict[int, np.ndarray]:
    """What the keyframes [B, K] chosen for each number K cost by a prediction [B, T, T]: K -> [B], means over frames."""
    return {k: path_cost(cost_bij, indices_of(k)) / cost_bij.shape[1] for k in counts}


def least_counts(costs: Mapping[int, np.ndarray], tolerance: float) -> np.ndarray:
    """The least K of each sequence whose cost [B] is at most `tolerance`, or the greatest K where none is: [B] int64.

    Raises:
        InputError: there is no K to choose from.
    """
    if not costs:
        raise InputError("numbers of keyframes to choose from: expected some")
    counts = sorted(costs)
    tolerable = np.stack([costs[k] <= tolerance for k in counts], axis=1)
    tolerable[:, -1] = True
    return np.asarray(counts, np.int64)[tolerable.argmax(axis=1)]


def groups(counts_b: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Every number K that occurs, increasing, and its sequences: networks take them K by K."""
    for k in np.unique(counts_b):
        yield int(k), np.flatnonzero(counts_b == k)


def padded(indices_bk: np.ndarray, count: int) -> np.ndarray:
    """Keyframes [B, K] with the last one repeated up to `count` columns."""
    check_shapes("indices_bk B K", indices_bk)
    return np.pad(indices_bk, ((0, 0), (0, count - indices_bk.shape[1])), mode="edge")


def counts_of(indices_bk: np.ndarray) -> np.ndarray:
    """The number [B] of different keyframes, of increasing rows [B, K] that may be `padded`."""
    counts: np.ndarray = 1 + (np.diff(indices_bk) > 0).sum(1)
    return counts


def mean_count(indices_bk: np.ndarray) -> int | float:
    """The mean of `counts_of`; whole where all have as many."""
    counts = counts_of(indices_bk)
    return int(counts[0]) if len(set(counts.tolist())) == 1 else float(counts.mean())
