"""Straight lines between anchors, in every channel."""

from __future__ import annotations

from torch import Tensor


def between(first: Tensor, last: Tensor, share: Tensor, width: Tensor) -> Tensor:
    """Frames [B, T, C] at their share [B, T, 1] of the way from the anchor before them to the one after."""
    return first + share * (last - first)
