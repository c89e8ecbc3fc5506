"""Wall time of one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def median_milliseconds(run: Callable[[int], object], repeats: int = 20, warm_up: int = 2) -> float:
    """The median wall time of `run(n)` over n = 0..repeats - 1, after calls with n = 0 to warm up."""
    for _ in range(warm_up):
        run(0)
    times = []
    for n in range(repeats):
        started = time.perf_counter()
        run(n)
        times.append(1000 * (time.perf_counter() - started))
    return median(times)
