"""Filling the missing frames between anchors, for any mask that keeps both ends."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes

INTERPOLATORS = "interdiff.two_phase.interpolators"
"""One module a method, with a function `between`; whoever adds a file there adds a method."""
Fill = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(values [B, T, C], mask [B, T]) -> the mask's frames with the others filled from them, [B, T, C], and how far off the filled
ones may be: a deviation [B, T, 1] or [B, T, C], zero in the mask."""


def place_keyframes(keyframes_bkc: Tensor, indices_bk: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Keyframes [B, K, C] at frames [B, K] -> sequence [B, T, C] (zero elsewhere) and its mask [B, T]."""
    check_shapes("keyframes_bkc B K C, indices_bk B K", keyframes_bkc, indices_bk)
    batch, _, channels = keyframes_bkc.shape
    sequence = keyframes_bkc.new_zeros(batch, frames, channels)
    sequence = sequence.scatter(1, indices_bk[..., None].expand_as(keyframes_bkc), keyframes_bkc)
    mask = torch.zeros(batch, frames, dtype=torch.bool, device=keyframes_bkc.device).scatter(1, indices_bk, True)
    return sequence, mask


def neighbours(mask_bt: Tensor) -> tuple[Tensor, Tensor]:
    """For every frame the anchors at or before it and at or after it: [B, T] bool -> two [B, T] int64."""
    check_shapes("mask_bt B T", mask_bt)
    frames = mask_bt.shape[1]
    t = torch.arange(frames, device=mask_bt.device).expand_as(mask_bt)
    left = torch.where(mask_bt, t, 0).cummax(dim=1).values
    right = torch.where(mask_bt, t, frames - 1).flip(1).cummin(dim=1).values.flip(1)
    return left, right


def interpolate(values_btc: Tensor, mask_bt: Tensor, method: str = "linear") -> Tensor:
    """Keep the frames of the mask and fill the others from the anchors on either side.

    Args:
        values_btc: [B, T, C]; only the frames in the mask are read.
        mask_bt: [B, T] bool; both ends set.
        method: a module of `interdiff.two_phase.interpolators`.

    Returns:
        [B, T, C].
    """
    check_shapes("values_btc B T C, mask_bt B T", values_btc, mask_bt)
    left, right = neighbours(mask_bt)
    first = values_btc.gather(1, left[..., None].expand_as(values_btc))
    last = values_btc.gather(1, right[..., None].expand_as(values_btc))
    gap = (right - left).clamp_min(1)[..., None].to(values_btc.dtype)
    t = torch.arange(mask_bt.shape[1], device=mask_bt.device)
    share = (t - left)[..., None].to(values_btc.dtype) / gap
    return import_module(f"{INTERPOLATORS}.{method}").between(first, last, share, gap / (mask_bt.shape[1] - 1))


def filling(method: str) -> Fill:
    """`interpolate`, off by as much as a Brownian bridge."""
    return lambda values, mask: (interpolate(values, mask, method), bridge_deviation(mask)[..., None])


def bridge_deviation(mask_bt: Tensor) -> Tensor:
    """Standard deviation of a Brownian bridge pinned at the anchors, 1 in the middle of a gap that spans the sequence.

    [B, T] bool -> [B, T] float: zero at anchors, growing with the square root of the gap. One minus it is the confidence
    in a frame; it also scales the noise put on missing frames.
    """
    left, right = neighbours(mask_bt)
    t = torch.arange(mask_bt.shape[1], device=mask_bt.device)
    variance = (t - left) * (right - t) / (right - left).clamp_min(1)
    return (4 * variance / (mask_bt.shape[1] - 1)).sqrt()
