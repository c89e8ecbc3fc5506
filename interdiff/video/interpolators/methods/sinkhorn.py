"""Interpolation by matching: a global shift by phase correlation, then places matched by optimal transport in a window.

Transport has a dustbin for places without a partner (Sarlin et al. 2020, SuperGlue, section 3.2). What is matched is warped;
what is not falls back to linear interpolation, as warping without a match is what made bad samples bad.

B pairs, C channels, H x W latents, M moments, N places or pictures.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

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


def turn_of_places(degrees: float) -> Tensor:
    """Where `rotated` moves what is at a place (x, y) from the middle: [2, 2], to be multiplied with it."""
    angle = math.radians(degrees)
    return torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], device="cpu")


def rotated(z: Tensor, degrees: float) -> Tensor:
    """z [N, C, H, W] turned about its middle; borders repeat."""
    angle = math.radians(degrees)
    height, width = z.shape[-2:]
    turn = z.new_tensor(
        [
            [math.cos(angle), -math.sin(angle) * height / width, 0.0],
            [math.sin(angle) * width / height, math.cos(angle), 0.0],
        ]
    )
    grid = F.affine_grid(turn.expand(len(z), 2, 3), list(z.shape), align_corners=False)
    return F.grid_sample(z, grid, padding_mode="border", align_corners=False)


def sinkhorn(scores: Tensor, dustbin: Tensor, iterations: int) -> Tensor:
    """Transport plan with dustbins: scores [B, N, N] (-inf forbids) -> probabilities [B, N + 1, N + 1].

    Every place sends and receives mass 1, the dustbins up to N. In logarithms.
    """
    batch, count, _ = scores.shape
    padded = F.pad(scores, (0, 1, 0, 1))
    padded[:, -1, :] = padded[:, :, -1] = dustbin
    marginal = torch.cat([scores.new_zeros(count), scores.new_tensor([math.log(count)])])
    rows, columns = scores.new_zeros(batch, count + 1), scores.new_zeros(batch, count + 1)
    for _ in range(iterations):
        rows = marginal - (padded + columns[:, None]).logsumexp(2)
        columns = marginal - (padded + rows[:, :, None]).logsumexp(1)
    return (padded + rows[:, :, None] + columns[:, None]).exp()


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
            return repeat(x, "b ... -> (b m) ...", m=moments)

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
        away = places - expected[:, :, None]
        similarity = torch.einsum("bci,bcj->bij", *(f.flatten(2) for f in features)) / self.log_temperature.exp()
        scores = similarity - self.spatial_weight * away.square().sum(-1)
        outside = away.abs().amax(-1) > self.radius + 0.5
        plan = sinkhorn(scores.masked_fill(outside, -torch.inf), self.dustbin, self.iterations)[:, :-1, :-1]
        forward, sure = _expected(plan, places)
        backward, sure_back = _expected(plan.mT, places)
        sure = sure * self._consistent(forward, backward, plan)
        sure_back = sure_back * self._consistent(backward, forward, plan.mT)
        size = first.shape[-2:]

        def full(values: Tensor, scale: int) -> Tensor:
            values = rearrange(values, "b (h w) c -> b c h w", h=height) * scale
            return F.interpolate(values, size=size, mode="bilinear", align_corners=False)

        flows = full(forward, self.token), full(backward, self.token)
        return *flows, full(sure[..., None], 1)[:, 0], full(sure_back[..., None], 1)[:, 0]

    def global_motion(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """The turn [B, 2, 2] about the middle and the shift after it [B, 2], in latent places, best over all angles tried."""
        turns = torch.stack([turn_of_places(angle) for angle in self.angles]).to(first)
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

    def _consistent(self, there: Tensor, back: Tensor, plan: Tensor) -> Tensor:
        """How nearly a match leads back to where it came from: [B, N] in [0, 1]."""
        share = plan / plan.sum(-1, keepdim=True).clamp_min(SMALL)
        miss = there + share @ back
        return torch.exp(-0.5 * miss.square().sum(-1) / self.consistency**2)


def _expected(plan: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Mean displacement [B, N, 2] under a plan [B, N, N], and the matched mass [B, N]."""
    mass = plan.sum(-1)
    return (plan @ places) / mass.clamp_min(SMALL)[..., None] - places, mass.clamp(0, 1)


def build(channels: int, **size: Any) -> nn.Module:
    """An untrained network; `size`: the arguments of `SinkhornInterpolator`."""
    return SinkhornInterpolator(channels, **size)
