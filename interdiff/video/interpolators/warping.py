"""Warping along flows.

N pictures or B pairs, C channels, H x W places, s times finer on a grid of an interpolator's own.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.learning.precision import full_precision


@runtime_checkable
class WithFlows(Protocol):
    """An interpolator that moves its endpoints along flows, on a grid of its own."""

    def flows(self, first: Tensor, last: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
        """Where a place of `first` is in `last`, and back: [B, 2, sH, sW] twice (x, y), in places of the finer grid.

        Args:
            first, last: [B, C, H, W].
            gap: [B] latent frames from `first` to `last`, float.
        """
        ...

    def finer(self, z: Tensor) -> Tensor:
        """Latents [N, C, H, W] on that grid, [N, fewer channels, sH, sW]."""
        ...


@full_precision
def warp(z: Tensor, flow: Tensor) -> Tensor:
    """Samples z [N, C, H, W] bilinearly at each place plus flow [N, 2, H, W] (x, y in places); borders repeat."""
    height, width = z.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=z.device, dtype=z.dtype),
        torch.arange(width, device=z.device, dtype=z.dtype),
        indexing="ij",
    )
    at = torch.stack([(x + flow[:, 0] + 0.5) * 2 / width - 1, (y + flow[:, 1] + 0.5) * 2 / height - 1], -1)
    return F.grid_sample(z, at, padding_mode="border", align_corners=False)
