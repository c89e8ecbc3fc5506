"""numba's compiler. Where numba is not, as beside an exported sampler, the same loops give the same numbers in Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

# numba's threads are OpenMP's, and its pool sets how many torch has from then on: it takes as many as the others were told to.
if (threads := os.environ.get("OMP_NUM_THREADS")) and "numba" not in sys.modules:
    os.environ.setdefault("NUMBA_NUM_THREADS", threads)
try:
    from numba import njit, prange
except ModuleNotFoundError:
    prange = range

    def njit(function: Any = None, **options: Any) -> Any:
        """The function as it is, or a decorator that leaves functions so."""
        as_it_is: Callable[[Any], Any] = lambda own: own  # noqa: E731
        return function or as_it_is


__all__ = ["njit", "prange"]
