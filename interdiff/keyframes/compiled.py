"""numba's compiler. Where numba is not, as beside an exported sampler, the same loops give the same numbers in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from numba import njit, prange
except ModuleNotFoundError:
    prange = range

    def njit(function: Any = None, **options: Any) -> Any:
        """The function as it is, or a decorator that leaves functions so."""
        as_it_is: Callable[[Any], Any] = lambda own: own  # noqa: E731
        return function or as_it_is


__all__ = ["njit", "prange"]
