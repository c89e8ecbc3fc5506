"""A space where motion is straight: S maps latents there, R back, and lines between S of two latents follow the video.

S is made of additive couplings (NICE, Dinh et al. 2015), so that R undoes it exactly and no line can collapse: it keeps
volumes. Any interpolator can run inside.

N pictures or B pairs, C channels, H x W latents, M moments, D features.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange
from interdiff.learning.networks import Attention, zero
from interdiff.video.interpolators.blocks import ResidualBlock
from interdiff.video.interpolators.interpolator import Between, Interpolator


class ConvolutionalShift(nn.Module):
    """Half of the channels [N, C, H, W] -> what to add to the other half, by residual 3 x 3 convolutions."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width, 1 + n % 2) for n in range(blocks)))
        self.out = nn.Conv2d(width, channels, 3, padding=1)
        zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.silu(self.blocks(self.embed(x))))


class TokenBlock(nn.Module):
    """Self-attention and an MLP over tokens, each behind a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.feed_forward(self.norms[1](x))


class TokenShift(nn.Module):
    """The same by a transformer over tokens of `patch` by `patch` places, at sinusoidal positions."""

    def __init__(self, channels: int, width: int, blocks: int, patch: int, heads: int) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(channels * patch * patch, width)
        self.blocks = nn.Sequential(*(TokenBlock(width, heads) for _ in range(blocks)))
        self.out = nn.Linear(width, channels * patch * patch)
        zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        shape = {"p": self.patch, "q": self.patch, "h": x.shape[2] // self.patch}
        tokens = self.embed(rearrange(x, "n c (h p) (w q) -> n (h w) (c p q)", **shape))
        height, width = x.shape[2] // self.patch, x.shape[3] // self.patch
        hidden = self.blocks(tokens + _positions(height, width, tokens))
        return rearrange(self.out(hidden), "n (h w) (c p q) -> n c (h p) (w q)", **shape)


def _positions(height: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of row and column: [height * width, D]."""
    quarter = like.shape[-1] // 4
    rates = torch.exp(-math.log(100.0) * torch.arange(quarter, device=like.device) / quarter)
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).to(like.device)
    angles = (places[:, :, None] * rates).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], -1)


class Straightener(nn.Module):
    """S: `forward`, and R: `inverse`, of latents [N, C, H, W]."""

    def __init__(
        self,
        channels: int,
        couplings: int,
        form: Literal["convolutional", "token"],
        width: int,
        blocks: int,
        **form_size,
    ) -> None:
        super().__init__()
        shift = {"convolutional": ConvolutionalShift, "token": TokenShift}[form]
        self.shifts = nn.ModuleList(shift(channels // 2, width, blocks, **form_size) for _ in range(couplings))

    def forward(self, z: Tensor) -> Tensor:
        kept, moved = z.chunk(2, 1)
        for shift in self.shifts:
            kept, moved = moved + shift(kept), kept
        return torch.cat([kept, moved], 1)

    def inverse(self, s: Tensor) -> Tensor:
        kept, moved = s.chunk(2, 1)
        for shift in reversed(self.shifts):
            kept, moved = moved, kept - shift(moved)
        return torch.cat([kept, moved], 1)


class Straightened(nn.Module):
    """An interpolator that runs in the straightened space; errors are those that it expects there."""

    def __init__(self, straightener: Straightener, inside: Interpolator) -> None:
        super().__init__()
        self.straightener, self.inside = straightener, inside

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        ends = self.straightener(torch.cat([first, last]))
        first, last = ends.chunk(2)
        between = self.inside(first, last, tau, gap)
        z = self.straightener.inverse(between.z.flatten(0, 1))
        return Between(z.unflatten(0, between.z.shape[:2]), between.error)
