"""What public functions say when they get arrays of other shapes than they take."""

from __future__ import annotations

from functools import cache
from typing import Any

from interdiff.errors import InputError


def check_shapes(pattern: str, *arrays: Any, **sizes: int) -> None:
    """That arrays have the shapes of a pattern, in which equal letters stand for equal sizes.

    Args:
        pattern: a name and axes for each array, such as `cost_bij B T T, indices_bk B K`; None in an array's place fits.
        sizes: of axes, where they are known beforehand.

    Raises:
        InputError: an array has another shape, or is none (names it, with the shape that was expected and what it got).
    """
    for (name, axes), array in zip(_parsed(pattern), arrays, strict=True):
        if array is None:
            continue
        shape = getattr(array, "shape", None)
        if shape is None or len(shape) != len(axes):
            raise InputError(_told(name, axes, sizes, shape, array))
        for axis, size in zip(axes, shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise InputError(_told(name, axes, sizes, shape, array))


@cache
def _parsed(pattern: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    words = (part.split() for part in pattern.split(","))
    return tuple((name, tuple(axes)) for name, *axes in words)


def _told(name: str, axes: tuple[str, ...], sizes: dict[str, int], shape: Any, array: Any) -> str:
    known = ", ".join(f"{axis} = {sizes[axis]}" for axis in dict.fromkeys(axes) if axis in sizes)
    found = type(array).__name__ if shape is None else tuple(shape)
    return f"{name}: expected [{', '.join(axes)}]{f' with {known}' if known else ''}, not {found}"
