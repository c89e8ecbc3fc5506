"""What decides a process's arithmetic and random streams: threads, deterministic algorithms, seeds."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import numpy as np

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def set_environment(threads: int, seed: int, gpus: int) -> None:
    """Threads, global seeds and, on the CPU, deterministic algorithms; torch is not imported where a stage has not."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that still use it must be reproducible too
    if numba := sys.modules.get("numba"):
        # Not the variable: with another value than at its import, numba refuses to compile.
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(not gpus)
        torch.utils.deterministic.fill_uninitialized_memory = False  # costs time and changes no result


def seed_of(settings: Any) -> int:
    """The seed of a stage's settings, or of their training section."""
    return getattr(settings, "seed", getattr(getattr(settings, "training", None), "seed", 0))


def stream_seed(seed: int, offset: int) -> int:
    """A seed of its own for each of a stage's random streams."""
    return int(np.random.SeedSequence([seed, offset]).generate_state(1, np.uint64)[0] >> 1)


def numpy_generator(seed: int, offset: int) -> np.random.Generator:
    """NumPy's generator of such a stream."""
    return np.random.default_rng([seed, offset])
