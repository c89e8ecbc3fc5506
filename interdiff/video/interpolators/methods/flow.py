"""Interpolation along motion: both endpoints are warped towards the moment asked for, blended and corrected.

One pass over the pair finds features and the motion from each endpoint to the other; a small network then looks at the
endpoints warped to every moment and decides which to believe, what is left to correct and how far off it expects to be.

B pairs, C channels, H x W latents, s times finer on the flows' grid, M moments, N = B M pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange, repeat
from interdiff.learning.networks import FourierFeatures, zero
from interdiff.video.interpolators.blocks import ResidualBlock
from interdiff.video.interpolators.interpolator import Between, blend, weighted
from interdiff.video.interpolators.warping import warp

TIME_OCTAVES = 3
LOG_GAP = 3.0
SMALLEST_ERROR = 1e-3
ERROR_WIDTH = 32
FINE_SIZE = 4
"""Numbers on the finer grid per number of a latent."""


def cost_volume(first: Tensor, last: Tensor, radius: int, scale: int) -> Tensor:
    """How alike places are within `radius`: [N, C, H, W] twice -> [N, (2 radius + 1)^2, H, W].

    Cosine similarities of latents averaged over `scale` by `scale` places, brought back to full size.
    """
    small = [F.normalize(F.avg_pool2d(z, scale, ceil_mode=True), dim=1) for z in (first, last)]
    shifted = F.unfold(small[1], 2 * radius + 1, padding=radius)
    shifted = rearrange(shifted, "n (c k) (h w) -> n k c h w", c=first.shape[1], h=small[1].shape[2])
    volume = (small[0][:, None] * shifted).sum(2)
    return F.interpolate(volume, size=first.shape[-2:], mode="bilinear", align_corners=False)


class FinerGrid(nn.Module):
    """Latents [N, C, H, W] as fewer channels on a grid `scale` times as fine, and back; learned, and at first exact.

    A latent stands for a block of pixels, which a shift by less than a block does not move as a whole.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        fine = max(1, -(-FINE_SIZE * channels // scale**2))
        self.up = nn.ConvTranspose2d(channels, fine, scale, stride=scale, bias=False)
        self.down = nn.Conv2d(fine, channels, scale, stride=scale, bias=False)
        nn.init.orthogonal_(self.up.weight.view(channels, -1))
        self.down.weight.data.copy_(self.up.weight.data)


class ExpectedError(nn.Module):
    """How far off every answer will be at every place, from what the interpolator saw and how much it changed there.

    Nothing of what it learns reaches the interpolator: a network that shares its features to say where it errs says it worse.
    """

    def __init__(self, width: int, changes: int, answers: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width + changes, ERROR_WIDTH, 3, padding=1)
        self.second = nn.Conv2d(ERROR_WIDTH, answers, 3, padding=1)
        zero(self.second)

    def forward(self, hidden: Tensor, *changes: Tensor) -> Tensor:
        """Errors [N, answers, H, W] from features [N, width, H, W] and differences of latents [N, C, H, W]."""
        sizes = [change.abs().mean(1, keepdim=True) for change in changes]
        x = torch.cat([hidden, *sizes], 1).detach()
        return F.softplus(self.second(F.silu(self.first(x))) - 1.0) + SMALLEST_ERROR


class FlowInterpolator(nn.Module):
    """Latent flow both ways, a blend mask, a residual and an expected error.

    Args:
        channels: of the latents.
        width: of the features.
        pair_blocks, time_blocks: residual blocks that see the pair, and each moment.
        gap_conditioning: tell the network how many frames lie between.
        time_mask: the mask knows the moment, and starts as linear interpolation's; otherwise one mask serves all moments.
        cost_radius, cost_scale: of the cost volume; radius 0 leaves it out.
        residual: add a learned correction, which vanishes at both ends.
        scale: flows, warps and masks are on a grid so many times as fine as the latents'.
        fallback: answer with the mean of this and of the straight line, by what error is expected of either.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        pair_blocks: int,
        time_blocks: int,
        gap_conditioning: bool,
        time_mask: bool,
        cost_radius: int,
        cost_scale: int,
        residual: bool,
        scale: int,
        fallback: bool = False,
    ) -> None:
        super().__init__()
        self.gap_conditioning, self.time_mask, self.residual = gap_conditioning, time_mask, residual
        self.cost_radius, self.cost_scale, self.scale = cost_radius, cost_scale, scale
        self.grid = FinerGrid(channels, scale)
        self.times = FourierFeatures(TIME_OCTAVES)
        similarities = (2 * cost_radius + 1) ** 2 if cost_radius else 0
        self.pair_in = nn.Conv2d(2 * channels + similarities + int(gap_conditioning), width, 3, padding=1)
        self.pair = nn.Sequential(*(ResidualBlock(width, 1 + n % 2) for n in range(pair_blocks)))
        self.flow = nn.Conv2d(width, 4 * scale**2, 3, padding=1)
        self.time_in = nn.Conv2d(width + 3 * channels + self.times.width(1), width, 3, padding=1)
        self.time = nn.Sequential(*(ResidualBlock(width) for _ in range(time_blocks)))
        self.out = nn.Conv2d(width, scale**2 + channels, 3, padding=1)
        self.error = ExpectedError(width, changes=3, answers=1 + fallback)
        for layer in (self.flow, self.out):
            zero(layer)

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        return weighted(self.answers(first, last, tau, gap))

    def answers(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> list[Between]:
        """As `WithFallback` says: what motion gives and, with `fallback`, the straight line."""
        features, flows = self.motion(first, last, gap)
        return self.at(first, last, tau, features, flows)

    def flows(self, first: Tensor, last: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
        """As `WithFlows` says."""
        forward, backward = self.motion(first, last, gap)[1].chunk(2, 1)
        return forward, backward

    def finer(self, z: Tensor) -> Tensor:
        """As `WithFlows` says."""
        return self.grid.up(z)

    def motion(self, first: Tensor, last: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the pair [B, width, H, W] and its flows [B, 4, sH, sW]: where a place of `first` is in `last`, and back.

        In places of the finer grid.
        """
        inputs = [first, last]
        if self.cost_radius:
            inputs.append(cost_volume(first, last, self.cost_radius, self.cost_scale))
        if self.gap_conditioning:
            inputs.append((gap.log() / LOG_GAP)[:, None, None, None].expand(-1, 1, *first.shape[-2:]).to(first.dtype))
        features = self.pair(self.pair_in(torch.cat(inputs, 1)))
        return features, F.pixel_shuffle(self.flow(F.silu(features)), self.scale)

    def at(self, first: Tensor, last: Tensor, tau: Tensor, features: Tensor, flows: Tensor) -> list[Between]:
        """Answers at times tau [B, M], from `motion`'s features and flows.

        A place moves evenly, so that at time t it shows what `first` shows t of the way back along the backward flow, and
        what `last` shows 1 - t of the way on along the forward one (Jiang et al. 2018, equation 3, without its products).
        """
        moments = tau.shape[1]

        def each(x: Tensor) -> Tensor:
            return repeat(x, "b c h w -> (b m) c h w", m=moments)

        t = rearrange(tau, "b m -> (b m) 1 1 1")
        forward, backward = each(flows).chunk(2, 1)
        early = warp(each(self.finer(first)), t * backward)
        late = warp(each(self.finer(last)), (1 - t) * forward)
        straight = rearrange(blend(first, last, tau), "b m c h w -> (b m) c h w")
        times = self.times(t[:, 0, 0] if self.time_mask else torch.full_like(t[:, 0, 0], 0.5))
        times = times[..., None, None].expand(-1, -1, *first.shape[-2:])
        ends = self.grid.down(early), self.grid.down(late)
        hidden = F.silu(self.time(self.time_in(torch.cat([each(features), *ends, straight, times], 1))))
        mask, correction = self.out(hidden).split([self.scale**2, first.shape[1]], 1)
        mask = F.pixel_shuffle(mask, self.scale)
        prior = (t / (1 - t)).log() if self.time_mask else torch.zeros_like(t)
        z = self.grid.down(torch.lerp(early, late, torch.sigmoid(mask + prior)))
        bridge = 4 * t * (1 - t)
        if self.residual:
            z = z + bridge * correction
        errors = self.error(hidden, ends[1] - ends[0], each(last - first), z - straight) * bridge.sqrt()
        shape = {"b": len(first), "m": moments}
        z, straight = (rearrange(answer, "(b m) c h w -> b m c h w", **shape) for answer in (z, straight))
        # Without a fallback there is one error, of the first answer.
        return [
            Between(answer, rearrange(error, "(b m) h w -> b m h w", **shape))
            for answer, error in zip((z, straight), errors.unbind(1), strict=False)
        ]


def build(channels: int, **size: Any) -> nn.Module:
    """An untrained network; `size`: the arguments of `FlowInterpolator`."""
    return FlowInterpolator(channels, **size)
