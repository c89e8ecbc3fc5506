"""Wall time of a call, and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median

import torch


def now() -> float:
    """Seconds on a clock, once the GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def median_milliseconds(
    run: Callable[[int], object], repeats: int = 20, warm_up: int = 2, most_seconds: float = 5.0, fewest: int = 3
) -> float:
    """The median wall time of `run(n)` over n = 0..repeats - 1, after calls with n = 0 to warm up.

    Of slow calls there are fewer: no more, but for the `fewest`, than fit into `most_seconds`.
    """
    for _ in range(warm_up):
        run(0)
    times: list[float] = []
    while len(times) < repeats and (len(times) < fewest or sum(times) < most_seconds):
        started = now()
        run(len(times))
        times.append(now() - started)
    return 1000 * median(times)


def peak_memory_mb() -> float:
    """Peak memory of the GPU in use, else of this process, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
