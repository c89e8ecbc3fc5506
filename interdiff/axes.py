"""einops' `rearrange` and `repeat` of tensors, for what must run where only torch and diffusers are: exported samplers.

Of einops' patterns they know names, groups in brackets and 1, without dots.
"""

from __future__ import annotations

import re
from functools import cache
from math import prod

from torch import Tensor

Groups = tuple[tuple[str, ...], ...]
"""A side of a pattern: the names of each dimension's axes, none for 1."""


def rearrange(x: Tensor, pattern: str, **sizes: int) -> Tensor:
    """`rearrange(x, "b (h p) c -> b h (p c)", p=2)`: split, reordered and merged dimensions.

    Raises:
        ValueError: a side lacks an axis of the other, or a dimension does not divide so.
    """
    left, right = _parsed(pattern)
    if set(_flat(left)) != set(_flat(right)):
        raise ValueError(f"{pattern!r}: expected the same axes on both sides")
    return repeat(x, pattern, **sizes)


def repeat(x: Tensor, pattern: str, **sizes: int) -> Tensor:
    """`repeat(x, "b c -> (b m) c", m=3)`: `rearrange`, with axes that are new and given by their sizes.

    Raises:
        ValueError: a dimension does not divide so.
    """
    left, right = _parsed(pattern)
    if len(left) != x.ndim:
        raise ValueError(f"{pattern!r}: expected {len(left)} dimensions, not shape {list(x.shape)}")
    for group, length in zip(left, x.shape, strict=True):
        known = prod(sizes[axis] for axis in group if axis in sizes)
        unknown = [axis for axis in group if axis not in sizes]
        if len(unknown) > 1 or length % known or (not unknown and length != known):
            raise ValueError(f"{pattern!r}: {length} is not {' x '.join(group) or 1}, with {sizes}")
        sizes |= {axis: length // known for axis in unknown}
    given = _flat(left)
    order = given + [axis for axis in _flat(right) if axis not in given]
    split = x.reshape([sizes[axis] for axis in given] + [1] * (len(order) - len(given)))
    moved = split.expand([sizes[axis] for axis in order]).permute([order.index(axis) for axis in _flat(right)])
    return moved.reshape([prod(sizes[axis] for axis in group) for group in right])


@cache
def _parsed(pattern: str) -> tuple[Groups, Groups]:
    sides = [
        tuple(
            tuple(name for name in part.strip("()").split() if name != "1")
            for part in re.findall(r"\([^)]*\)|\S+", side)
        )
        for side in pattern.split("->")
    ]
    left, right = sides
    return left, right


def _flat(groups: Groups) -> list[str]:
    return [axis for group in groups for axis in group]
