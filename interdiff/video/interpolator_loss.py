"""What interpolators learn from: moments between two latents of a clip, by several losses with a weight each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from interdiff.video.flow import FlowInterpolator, warp
from interdiff.video.interpolators import Between


@dataclass(frozen=True)
class Moments:
    """Pairs of latents of clips and what lies between them.

    first, last [B, C, H, W]; tau [B, M] in (0, 1); gap [B] in latent frames; truth [B, M, C, H, W].
    """

    first: Tensor
    last: Tensor
    tau: Tensor
    gap: Tensor
    truth: Tensor


def random_moments(clips_ncthw: Tensor, rows: Tensor, moments: int, generator: torch.Generator) -> Moments:
    """For each of `rows` of clips [N, C, T, H, W]: a gap from 2 to T - 1, all equally likely, a place for it, and moments."""
    frames, batch = clips_ncthw.shape[2], len(rows)
    device = clips_ncthw.device

    def below(limit: Tensor, shape: tuple[int, ...]) -> Tensor:
        return (torch.rand(shape, generator=generator, device=device) * limit).long()

    gap = 2 + below(torch.tensor(frames - 2, device=device), (batch,))
    first = below(frames - gap, (batch,))
    inside = 1 + below((gap - 1)[:, None], (batch, moments))
    clips = clips_ncthw.movedim(2, 1)
    at = first[:, None] + inside
    return Moments(
        clips[rows, first].float(),
        clips[rows, first + gap].float(),
        inside / gap[:, None],
        gap.float(),
        clips[rows[:, None], at].float(),
    )


def laplace(between: Between, truth: Tensor) -> Tensor:
    """Negative log likelihood per place of the mean absolute error under the expected one: calibrates `error`.

    The mean over C channels of absolute errors with scale e has a Laplace-like likelihood log e + |z - truth| / e; its
    gradient does not reach z, so that what is hard to predict is not given up.
    """
    off = (between.z.detach() - truth).abs().mean(2)
    scale = between.error.clamp_min(1e-4)
    return (scale.log() + off / scale).mean()


def edges(between: Between, truth: Tensor) -> Tensor:
    """Mean absolute error of differences between neighbours, along both axes."""
    off = between.z - truth
    return off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()


def scales(between: Between, truth: Tensor, factors: tuple[int, ...] = (2, 4)) -> Tensor:
    """Mean absolute error of latents averaged over squares of each size, summed."""
    off = (between.z - truth).flatten(0, 1)
    return sum((F.avg_pool2d(off, factor).abs().mean() for factor in factors), torch.zeros((), device=off.device))


def flow_losses(model: FlowInterpolator, moments: Moments) -> Iterator[tuple[str, Tensor]]:
    """Of flows both ways: each endpoint warped onto the other (`endpoint`), and there and back again (`consistency`)."""
    _, flows = model.motion(moments.first, moments.last, moments.gap)
    forward, backward = flows.chunk(2, 1)
    onto_last, onto_first = warp(moments.first, backward), warp(moments.last, forward)
    yield "endpoint", (onto_last - moments.last).abs().mean() + (onto_first - moments.first).abs().mean()
    there = forward + warp(backward, forward)
    back = backward + warp(forward, backward)
    yield "consistency", there.abs().mean() + back.abs().mean()


def absolute(between: Between, truth: Tensor, gap: Tensor, gap_power: float) -> Tensor:
    """Mean absolute error; pairs weigh as the gap to `gap_power`, normalised to mean 1."""
    weight = gap**gap_power
    off = (between.z - truth).abs().mean((1, 2, 3, 4))
    return (off * weight / weight.mean()).mean()


def straightness(s_bmchw: Tensor, first: Tensor, last: Tensor, tau: Tensor) -> Tensor:
    """Mean squared distance of straightened latents from the line between their endpoints."""
    line = torch.lerp(first[:, None], last[:, None], rearrange(tau, "b m -> b m 1 1 1"))
    return (s_bmchw - line).square().mean()
