"""Interpolation by matching: a global shift by phase correlation, then places matched by optimal transport in a window.

Transport has a dustbin for places without a partner (Sarlin et al. 2020, SuperGlue, section 3.2). What is matched is warped;
what is not falls back to linear interpolation, as warping without a match is what made bad samples bad.

B pairs, C channels, H x W latents, M moments, N places or pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange
from interdiff.learning.networks import constant
from interdiff.learning.precision import full_precision
from interdiff.video.interpolators.interpolator import Between, blend
from interdiff.video.interpolators.warping import warp

SMALL = 1e-6


def phase_correlation(first: Tensor, last: Tensor, mode: Literal["mean", "multi"]) -> tuple[Tensor, Tensor]:
    """The cyclic shift (x, y) that takes `first` to `last`, [N, C, H, W] twice -> [N, 2] places, and its peak [N] in [0, 1].

    mode: "multi" adds the cross-power spectra of all channels before they are normalised, "mean" averages the latents over
        channels first.
    """
    if mode == "mean":
        first, last = first.mean(1, keepdim=True), last.mean(1, keepdim=True)
    height, width = first.shape[-2:]
    spectra = [torch.fft.rfft2((z - z.mean((-2, -1), keepdim=True)).float()) for z in (first, last)]
    cross = (spectra[0].conj() * spectra[1]).sum(1)
    surface = torch.fft.irfft2(cross / cross.abs().clamp_min(SMALL), s=(height, width))
    peak, at = surface.flatten(1).max(1)
    y, x = at // width, at % width
    # Beyond half the size a cyclic shift is one the other way.
    shift = torch.stack([(x + width // 2) % width - width // 2, (y + height // 2) % height - height // 2], -1)
    return shift.to(first.dtype), peak.to(first.dtype)


def turn_of_places(degrees: float, device: torch.device) -> Tensor:
    """Where `rotated` moves what is at a place (x, y) from the middle: [2, 2], to be multiplied with it."""
    angle = math.radians(degrees)
    turn = math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    return constant(turn, torch.float32, device).view(2, 2)


def rotated(z: Tensor, degrees: float) -> Tensor:
    """z [N, C, H, W] turned about its middle; borders repeat."""
    angle = math.radians(degrees)
    height, width = z.shape[-2:]
    across, down = -math.sin(angle) * height / width, math.sin(angle) * width / height
    turn = constant((math.cos(angle), across, 0.0, down, math.cos(angle), 0.0), z.dtype, z.device).view(2, 3)
    grid = F.affine_grid(turn.expand(len(z), 2, 3), list(z.shape), align_corners=False)
    return F.grid_sample(z, grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Window:
    """The places that each of N places may be matched with: `targets` [B, N, W], of which those `inside` [B, N, W] count.

    Of all pairs these are few: 49 of 6,240 at the size of Wan's latents.
    """

    targets: Tensor
    inside: Tensor

    def of_targets(self, values_bnc: Tensor) -> Tensor:
        """Values [B, N, C] of what each place may be matched with: [B, N, W, C]."""
        return values_bnc[torch.arange(len(values_bnc), device=values_bnc.device)[:, None, None], self.targets]

    def to_targets(self, values_bnwc: Tensor) -> Tensor:
        """Sums [B, N, C] at each target of the values [B, N, W, C] of the places that may be matched with it."""
        batch, count, _, channels = values_bnwc.shape
        at = self.targets.flatten(1)[..., None].expand(-1, -1, channels)
        return values_bnwc.new_zeros(batch, count, channels).scatter_add(1, at, values_bnwc.flatten(1, 2))

    def log_to_targets(self, logs_bnw: Tensor, other_b1: Tensor) -> Tensor:
        """Logarithms [B, N] of sums of exponentials at each target, and of another one [B, 1]."""
        at, logs = self.targets.flatten(1), logs_bnw.flatten(1)
        other = other_b1.expand(-1, logs_bnw.shape[1])
        most = other.scatter_reduce(1, at, logs, "amax").detach()
        return most + (other - most).exp().scatter_add(1, at, (logs - most.gather(1, at)).exp()).log()


def window_around(expected: Tensor, radius: int, height: int, width: int) -> tuple[Window, Tensor]:
    """The window around where places are expected, [B, N, 2] (x, y), and how far its places are from there, [B, N, W, 2]."""
    reach = [min(radius + 1, side - 1) for side in (height, width)]
    y, x = torch.meshgrid(*(torch.arange(-most, most + 1, device=expected.device) for most in reach), indexing="ij")
    column, row = expected.round().long().unbind(-1)
    column = column.clamp(0, width - 1)[..., None] + x.flatten()
    row = row.clamp(0, height - 1)[..., None] + y.flatten()
    away = torch.stack([column, row], -1).to(expected) - expected[:, :, None]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (away.abs().amax(-1) <= radius + 0.5)
    targets = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return Window(targets, inside), away


def sinkhorn(scores: Tensor, window: Window, dustbin: Tensor, iterations: int) -> Tensor:
    """Transport plan with dustbins: scores [B, N, W] of a window's places -> probabilities [B, N, W], zero outside.

    Every place sends and receives mass 1, what is missing to or from a dustbin; the dustbins up to N. In logarithms.
    """
    batch, count, _ = scores.shape
    scores, most = scores.masked_fill(~window.inside, -torch.inf), math.log(count)
    rows, columns = scores.new_zeros(batch, count + 1), scores.new_zeros(batch, count + 1)
    for _ in range(iterations):
        spare = (dustbin + columns[:, -1:])[:, None].expand(-1, count, -1)
        sent = torch.cat([scores + window.of_targets(columns[:, :-1, None])[..., 0], spare], 2).logsumexp(2)
        rows = torch.cat([-sent, most - (dustbin + columns).logsumexp(1, keepdim=True)], 1)
        received = window.log_to_targets(scores + rows[:, :-1, None], dustbin + rows[:, -1:])
        columns = torch.cat([-received, most - (dustbin + rows).logsumexp(1, keepdim=True)], 1)
    return (scores + rows[:, :-1, None] + window.of_targets(columns[:, :-1, None])[..., 0]).exp()


class SinkhornInterpolator(nn.Module):
    """Matches places of both endpoints and moves each along its match.

    Args:
        channels: of the latents.
        width: of the features that are compared.
        token: side of the squares of places that are matched as one.
        radius: of the window around the globally shifted place, in tokens.
        iterations: of Sinkhorn's algorithm.
        correlation: of channels, in the global shift: "mean", "multi", or "none" for no global shift.
        correlation_level: "latent" or "token": what the global shift is found on.
        angles: in degrees, that the global alignment tries beside its shifts.
        spatial_weight: of the squared distance from the globally shifted place, against the similarity.
        consistency: distance, in tokens, at which a match that does not lead back counts e^-1/2 less.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        token: int,
        radius: int,
        iterations: int,
        correlation: Literal["mean", "multi", "none"],
        correlation_level: Literal["latent", "token"],
        angles: list[float],
        spatial_weight: float,
        consistency: float,
    ) -> None:
        super().__init__()
        self.token, self.radius, self.iterations = token, radius, iterations
        self.correlation, self.correlation_level, self.angles = correlation, correlation_level, angles
        self.spatial_weight, self.consistency = spatial_weight, consistency
        self.project = nn.Conv2d(channels, width, token, stride=token)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.1)))
        self.dustbin = nn.Parameter(torch.tensor(0.0))
        self.log_error = nn.Parameter(torch.tensor([0.0, 0.0, -2.0]))

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        forward, backward, sure, sure_back = self.matches(first, last)
        moments = tau.shape[1]

        def each(x: Tensor) -> Tensor:
            return x.repeat_interleave(moments, 0)

        t = rearrange(tau, "b m -> (b m) 1 1 1")
        early = warp(each(first), t * each(backward))
        late = warp(each(last), (1 - t) * each(forward))
        weights = (1 - t) * each(sure_back)[:, None], t * each(sure)[:, None]
        total = weights[0] + weights[1]
        moved = (weights[0] * early + weights[1] * late) / total.clamp_min(SMALL)
        straight = rearrange(blend(first, last, tau), "b m c h w -> (b m) c h w")
        z = torch.lerp(straight, moved, total)
        change, bridge = each((last - first).abs().mean(1)), (t * (1 - t)).sqrt()[:, 0]
        of_change = (self.log_error[0] + self.log_error[1] * total[:, 0]).exp()
        error = bridge * (change * of_change + self.log_error[2].exp())
        shape = {"b": len(first), "m": moments}
        return Between(
            rearrange(z, "(b m) c h w -> b m c h w", **shape), rearrange(error, "(b m) h w -> b m h w", **shape)
        )

    @full_precision
    def matches(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where each place of `first` is in `last`, and back, [B, 2, H, W] in latent places; how sure, [B, H, W] in [0, 1]."""
        turn, shift = self.global_motion(first, last)
        features = [F.normalize(self.project(z), dim=1) for z in (first, last)]
        height, width = features[0].shape[-2:]
        y, x = torch.meshgrid(*(torch.arange(side, device=first.device) for side in (height, width)), indexing="ij")
        places = torch.stack([x, y], -1).flatten(0, 1).to(first)
        middle = places.mean(0)
        expected = (places - middle) @ turn.mT + middle + (shift / self.token)[:, None]
        window, away = window_around(expected, self.radius, height, width)
        own, others = (rearrange(f, "b c h w -> b (h w) c") for f in features)
        similarity = torch.einsum("bnc,bnwc->bnw", own, window.of_targets(others)) / self.log_temperature.exp()
        scores = similarity - self.spatial_weight * away.square().sum(-1)
        plan = sinkhorn(scores, window, self.dustbin, self.iterations)[..., None]
        sent, received = plan.sum(2), window.to_targets(plan)
        places = places.expand(len(first), -1, -1)

        def by_sent(values: Tensor) -> Tensor:
            return (plan * window.of_targets(values)).sum(2) / sent.clamp_min(SMALL)

        def by_received(values: Tensor) -> Tensor:
            return window.to_targets(plan * values[:, :, None]) / received.clamp_min(SMALL)

        forward, backward = by_sent(places) - places, by_received(places) - places
        sure = sent[..., 0].clamp(0, 1) * self._consistent(forward + by_sent(backward))
        sure_back = received[..., 0].clamp(0, 1) * self._consistent(backward + by_received(forward))
        size = first.shape[-2:]

        def full(values: Tensor, scale: int) -> Tensor:
            values = rearrange(values, "b (h w) c -> b c h w", h=height) * scale
            return F.interpolate(values, size=size, mode="bilinear", align_corners=False)

        flows = full(forward, self.token), full(backward, self.token)
        return *flows, full(sure[..., None], 1)[:, 0], full(sure_back[..., None], 1)[:, 0]

    def global_motion(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """The turn [B, 2, 2] about the middle and the shift after it [B, 2], in latent places, best over all angles tried."""
        turns = torch.stack([turn_of_places(angle, first.device) for angle in self.angles]).to(first)
        if self.correlation == "none":
            return torch.eye(2).to(first).expand(len(first), -1, -1), first.new_zeros(len(first), 2)
        scale = self.token if self.correlation_level == "token" else 1
        first, last = (F.avg_pool2d(z, scale) for z in (first, last))
        found = [
            phase_correlation(rotated(first, angle) if angle else first, last, self.correlation)
            for angle in self.angles
        ]
        shifts, peaks = (torch.stack(values, 1) for values in zip(*found, strict=True))
        best = peaks.argmax(1)
        return turns[best], shifts[torch.arange(len(best), device=best.device), best] * scale

    def _consistent(self, miss: Tensor) -> Tensor:
        """How nearly a match leads back to where it came from, by how far it misses that [B, N, 2]: [B, N] in [0, 1]."""
        return torch.exp(-0.5 * miss.square().sum(-1) / self.consistency**2)


def build(channels: int, **size: Any) -> nn.Module:
    """An untrained network; `size`: the arguments of `SinkhornInterpolator`."""
    return SinkhornInterpolator(channels, **size)
