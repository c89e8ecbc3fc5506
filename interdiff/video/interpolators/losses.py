"""What interpolators learn from: moments between two latents of a clip, by several losses with a weight each.

B clips, C channels, T frames, H x W latents, M moments, R masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.learning import draws
from interdiff.learning.processes import parts, share
from interdiff.two_phase.interpolation import neighbours
from interdiff.video.data.batches import TrainingBatches
from interdiff.video.interpolators.calibrated import SHORTEST
from interdiff.video.interpolators.interpolator import Between, Interpolator, answers_of, blend
from interdiff.video.interpolators.settings import LossSettings
from interdiff.video.interpolators.straightener import Straightener
from interdiff.video.interpolators.warping import WithFlows, warp


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


def random_moments(z_bcthw: Tensor, moments: int, generator: torch.Generator) -> Moments:
    """Of each clip of this process's share [B, C, T, H, W] a gap from 2 to T - 1, all equally likely, a place, and moments."""
    frames, batch = z_bcthw.shape[2], len(z_bcthw) * parts()
    device = z_bcthw.device

    def below(limit: Tensor | int, shape: tuple[int, ...]) -> Tensor:
        return (draws.uniform(shape, generator, device) * limit).long()

    gap = SHORTEST + below(frames - SHORTEST, (batch,))
    first = below(frames - gap, (batch,))
    inside = 1 + below((gap - 1)[:, None], (batch, moments))
    return _moments(z_bcthw, *share(gap, first, inside))


def moments_of_all_gaps(z_cthw: Tensor, moments: int, generator: torch.Generator) -> Moments:
    """Of one clip a pair of each gap from 2 to T - 1, at a random place, and moments."""
    frames, device = z_cthw.shape[1], z_cthw.device
    gap = torch.arange(SHORTEST, frames, device=device)
    first = (draws.uniform((len(gap),), generator, device) * (frames - gap)).long()
    inside = 1 + (draws.uniform((len(gap), moments), generator, device) * (gap - 1)[:, None]).long()
    return _moments(z_cthw.expand(len(gap), *z_cthw.shape), gap, first, inside)


def _moments(z_bcthw: Tensor, gap: Tensor, first: Tensor, inside: Tensor) -> Moments:
    """Of each clip the pair of this gap from frame `first` on, and the moments `inside` frames later."""
    clips, rows = z_bcthw.movedim(2, 1), torch.arange(len(z_bcthw), device=z_bcthw.device)
    return Moments(
        clips[rows, first].float(),
        clips[rows, first + gap].float(),
        inside / gap[:, None],
        gap.float(),
        clips[rows[:, None], first[:, None] + inside].float(),
    )


def optical_flow_moments(filled_brcthw: Tensor, mask_brt: Tensor, generator: torch.Generator) -> Moments:
    """Of each clip of this process's share a missing frame of one of its masks: what optical flow put there is the truth.

    Args:
        filled_brcthw: [B, R, C, T, H, W].
        mask_brt: [B, R, T], nonzero where optical flow was given the frame.
    """
    shares = draws.uniform((len(filled_brcthw) * parts(),), generator, filled_brcthw.device)
    (own,) = share(shares)
    missing = mask_brt.flatten(1) == 0
    counts = missing.sum(1)
    at = (missing.cumsum(1) <= (own * counts).long()[:, None]).sum(1)
    frames = mask_brt.shape[2]
    rows, choice, frame = torch.arange(len(at), device=at.device), at // frames, at % frames
    left, right = (side[rows, frame] for side in neighbours(mask_brt[rows, choice] != 0))
    clips = filled_brcthw[rows, choice].movedim(2, 1)
    tau = ((frame - left) / (right - left))[:, None]
    ends = clips[rows, left].float(), clips[rows, right].float()
    return Moments(*ends, tau, (right - left).float(), clips[rows, frame][:, None].float())


def calibration(between: Between, truth: Tensor) -> Tensor:
    """Negative quasi-likelihood of the true absolute errors under the expected ones, e - |z - truth| log e.

    Poisson's (McCullagh & Nelder 1989, section 9.2), which is least where e is the mean of the true errors. Among losses with
    that property it weighs large errors more than the exponential distribution's likelihood does, and small ones more than
    squares do. Its gradient does not reach z, so that what is hard to predict is not given up.
    """
    off = (between.z.detach() - truth).abs().mean(2)
    expected = between.error.clamp_min(1e-4)
    return (expected - off * expected.log()).mean()


@torch.no_grad()
def error_scales(model: Interpolator, clips: Iterable[Tensor], moments: int, generator: torch.Generator) -> Tensor:
    """True absolute errors over expected ones, means over clips of each answer and gap: `Calibrated.scales`, [A, G].

    Args:
        clips: held-out latents [C, T, H, W], of any T; of each a pair of every gap, so that all gaps are met alike.
    """
    means = []
    for z in clips:
        pairs = moments_of_all_gaps(z, moments, generator)
        answers = answers_of(model, pairs.first, pairs.last, pairs.tau, pairs.gap)
        true = [(answer.z - pairs.truth).abs().mean((1, 2, 3, 4)) for answer in answers]
        expected = [answer.error.mean((1, 2, 3)) for answer in answers]
        means.append(torch.stack([torch.stack(true), torch.stack(expected)]))
    gaps = max(of_clip.shape[2] for of_clip in means)
    off, said = torch.stack([F.pad(of_clip, (0, gaps - of_clip.shape[2])) for of_clip in means]).sum(0)
    # Where nothing moves an interpolator may be sure, and right.
    return torch.where(said > 0, off / said, 1.0)


def edges(between: Between, truth: Tensor) -> Tensor:
    """Mean absolute error of differences between neighbours (Eigen & Fergus 2015, equation 1, last term, not squared)."""
    off = between.z - truth
    return off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()


def scales(between: Between, truth: Tensor, factors: tuple[int, ...] = (2, 4)) -> Tensor:
    """Mean absolute error of latents averaged over squares of each size, summed."""
    off = (between.z - truth).flatten(0, 1)
    return sum((F.avg_pool2d(off, factor).abs().mean() for factor in factors), torch.zeros((), device=off.device))


def flow_losses(model: WithFlows, moments: Moments) -> Iterator[tuple[str, Tensor]]:
    """Of flows both ways: each endpoint warped onto the other (`endpoint`; Jiang et al. 2018, section 3.3, warping loss).

    And there and back again (`consistency`; Meister et al. 2018, the left side of equation 1, not squared).
    """
    forward, backward = model.flows(moments.first, moments.last, moments.gap)
    first, last = model.finer(moments.first), model.finer(moments.last)
    yield "endpoint", (warp(first, backward) - last).abs().mean() + (warp(last, forward) - first).abs().mean()
    there = forward + warp(backward, forward)
    back = backward + warp(forward, backward)
    yield "consistency", there.abs().mean() + back.abs().mean()


def absolute(between: Between, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error, pairs weighted by [B]."""
    return ((between.z - truth).abs().mean((1, 2, 3, 4)) * weight).mean()


def gap_weights(gap: Tensor, frames: int, power: float) -> Tensor:
    """Weights [B] of pairs as their gap to a power: of mean 1 where gaps from 2 to `frames` - 1 are equally likely."""
    return gap**power / (torch.arange(2.0, frames) ** power).mean().item()


@dataclass(frozen=True)
class MomentsBatch:
    """Moments of clips of so many frames, those that optical flow filled where it is learned from, and the losses' weights."""

    moments: Moments
    optical_flow: Moments | None
    weights: LossSettings
    frames: int


@dataclass(frozen=True)
class RandomMoments:
    """Moments of random pairs of latents; clips: of the column `latent` [B, C, T, H, W]."""

    clips: TrainingBatches
    moments: int

    def draw(self, generator: torch.Generator, progress: float) -> Moments:
        """Clips, pairs and moments between them."""
        return random_moments(self.clips.batch(progress)["latent"], self.moments, generator)


@dataclass(frozen=True)
class WeightedMoments:
    """Moments of random pairs of latents, and of frames that optical flow filled where its weight is not zero.

    clips: of columns `latent` [B, C, T, H, W], and where that is so `filled` and `mask`.
    """

    clips: TrainingBatches
    moments: int
    weights: LossSettings

    def draw(self, generator: torch.Generator, progress: float) -> MomentsBatch:
        """Clips, pairs and moments between them."""
        batch = self.clips.batch(progress)
        moments = random_moments(batch["latent"], self.moments, generator)
        learned = self.weights.optical_flow
        filled = optical_flow_moments(batch["filled"], batch["mask"], generator) if learned else None
        return MomentsBatch(moments, filled, self.weights, batch["latent"].shape[2])


def losses_by_name(model: Any, batch: MomentsBatch) -> Iterator[tuple[str, Tensor]]:
    """Each loss, before it is weighted; of several answers the interpolator's own, but each one's likelihood."""
    moments, filled, weights = batch.moments, batch.optical_flow, batch.weights

    def weighted(between: Between, moments: Moments) -> Tensor:
        return absolute(between, moments.truth, gap_weights(moments.gap, batch.frames, weights.gap_power))

    answers = answers_of(model, moments.first, moments.last, moments.tau, moments.gap)
    between = answers[0]
    yield "absolute", weighted(between, moments)
    yield "likelihood", torch.stack([calibration(answer, moments.truth) for answer in answers]).sum()
    yield "edges", edges(between, moments.truth)
    yield "scales", scales(between, moments.truth)
    if weights.endpoint or weights.consistency:
        yield from flow_losses(model, moments)
    if filled is not None:
        taught = answers_of(model, filled.first, filled.last, filled.tau, filled.gap)
        yield "optical_flow", weighted(taught[0], filled)


def interpolator_loss(model: nn.Module, batch: MomentsBatch) -> dict[str, Tensor]:
    """The weighted sum of all losses, each also by its name."""
    values = dict(losses_by_name(model, batch))
    total = torch.stack([getattr(batch.weights, name) * value for name, value in values.items()]).sum()
    return {"loss": total} | {name: value.detach() for name, value in values.items()}


def straightener_loss(model: Straightener, moments: Moments, straightness: float) -> dict[str, Tensor]:
    """How far lines in the straightened space are from the truth, in latents and, by a weight, in that space."""
    s_truth = model(moments.truth.flatten(0, 1)).unflatten(0, moments.truth.shape[:2])
    first, last = model(torch.cat([moments.first, moments.last])).chunk(2)
    line = blend(first, last, moments.tau)
    z = model.inverse(line.flatten(0, 1)).unflatten(0, line.shape[:2])
    off, bent = (z - moments.truth).abs().mean(), (s_truth - line).square().mean()
    return {"loss": off + straightness * bent, "absolute": off.detach(), "straightness": bent.detach()}
