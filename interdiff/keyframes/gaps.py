"""How far apart neighbouring keyframes may be, and which levels of nested masks can keep to it."""

from __future__ import annotations

import math


def max_gap(frames: int, k: int, factor: float) -> int:
    """Longest segment allowed for K keyframes of T: `factor` times the uniform gap, at most T - 1."""
    return min(frames - 1, math.ceil(factor * (frames - 1) / (k - 1)))


def nests(frames: int, coarse: int, fine: int, factor: float, longest: int | None = None) -> bool:
    """Whether every mask of `coarse` keyframes of T can grow to `fine` ones that are no further apart than these may be.

    Args:
        longest: segment of the coarse mask, by default what its own number allows.
    """
    segments, bound = coarse - 1, max_gap(frames, fine, factor)
    longest = max_gap(frames, coarse, factor) if longest is None else longest
    # A segment of 1 + m * bound frames needs m further keyframes; in the worst case, as many segments as fit are such.
    needed = min(segments * ((longest - 1) // bound), (frames - 1 - segments) // bound)
    return fine - coarse >= needed
