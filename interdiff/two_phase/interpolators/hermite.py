"""Cubic Hermite splines between anchors that hold positions and velocities."""

from __future__ import annotations

import torch
from torch import Tensor


def between(first: Tensor, last: Tensor, share: Tensor, width: Tensor) -> Tensor:
    """Frames [B, T, C] at their share [B, T, 1] of the way from the anchor before them to the one after.

    Source: de Boor 2001, A Practical Guide to Splines, chapter IV.

    Args:
        first, last: the anchors [B, T, C]; the first half of the channels are positions, the second half their derivatives
            with respect to tau = t / (T - 1).
        width: of the gap, in tau.
    """
    p0, v0 = first.chunk(2, dim=-1)
    p1, v1 = last.chunk(2, dim=-1)
    a, m0, m1 = share, v0 * width, v1 * width
    difference = p1 - p0
    position = p0 + a * m0 + a**2 * (3 * difference - 2 * m0 - m1) + a**3 * (m0 + m1 - 2 * difference)
    velocity = m0 + 2 * a * (3 * difference - 2 * m0 - m1) + 3 * a**2 * (m0 + m1 - 2 * difference)
    # At an anchor the gap is zero: its own values stand.
    inside = a > 0
    return torch.cat([torch.where(inside, position, p0), torch.where(inside, velocity / width, v0)], dim=-1)
