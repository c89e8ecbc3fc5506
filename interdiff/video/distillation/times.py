"""When a student learns, and when the steps of its rollouts are: from pure noise, or from filled clips.

B clips, C channels, F frames, H x W latents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.draws import Stream
from interdiff.learning.networks import constant
from interdiff.video.backbone.flow_matching import even_levels, shifted
from interdiff.video.backbone.losses import FlowBatch
from interdiff.video.distillation.sampling import TIMES, correction_times
from interdiff.video.distillation.settings import PASSES, StudentSettings
from interdiff.video.distillation.trigflow import mixed, of_level


@dataclass(frozen=True)
class FilledBatch(FlowBatch):
    """Clips z whose frames are at levels sigma [B, F] when sampling starts, with what stands for them then, `filled`."""

    filled: Tensor


@dataclass(frozen=True)
class Moments:
    """Times t of consistency, [B, F] or [B, 1], fp64.

    onward: in continuous time how fast they change along the path, in discrete the next ones towards data.
    """

    t: Tensor
    onward: Tensor


class Times(Protocol):
    """When, for a batch of clips."""

    @property
    def most(self) -> int:
        """Steps that a rollout takes at most."""
        ...

    def moments(self, stream: Stream) -> Moments:
        """Those that clips learn consistency at."""
        ...

    def rollout(self, steps: int, stream: Stream) -> tuple[Tensor, list[Tensor]]:
        """Where a rollout of so many steps starts, [B, C, F, H, W], and the time of each step."""
        ...


@dataclass(frozen=True)
class FromNoise:
    """One time for all frames, up to that of pure noise."""

    batch: FlowBatch
    settings: StudentSettings
    most: int = len(TIMES)

    @property
    def _size(self) -> tuple[int, int]:
        return len(self.batch.z), 1

    def moments(self, stream: Stream) -> Moments:
        """Log-normal tan t in continuous time (Zheng et al. 2025); shifted even levels in discrete."""
        settings, device = self.settings, self.batch.z.device
        if settings.consistency == "discrete":
            levels = even_levels(settings.discrete_times, settings.matching_shift)
            grid = constant(
                tuple(min(math.atan2(level, 1 - level), TIMES[0]) for level in levels), torch.float64, device
            )
            place = draws.integers(settings.discrete_times, self._size, stream, device)
            return Moments(grid[place], grid[place + 1])
        normal = draws.normal(self._size, stream, device).double()
        t = torch.atan((settings.level_mean + settings.level_deviation * normal).exp())
        return Moments(t, torch.ones_like(t))

    def rollout(self, steps: int, stream: Stream) -> tuple[Tensor, list[Tensor]]:
        """From noise; each step at a random time that is no later than the one before."""
        device = self.batch.z.device
        times = [torch.full(self._size, TIMES[0], dtype=torch.float64, device=device)]
        for _ in range(steps - 1):
            drawn = shifted(draws.uniform(self._size, stream, device), self.settings.matching_shift)
            times.append(torch.minimum(times[-1], of_level(drawn.double())))
        return draws.normal(self.batch.z.shape, stream, device), times


@dataclass(frozen=True)
class FromFilled:
    """A time for each frame: where sampling starts, anchors near 0, and on the way from there, all the same share of it.

    With a frame's first level s its level is l = u s, its time t = atan(l / (1 - l)), and dt / du = s / (l^2 + (1 - l)^2).
    """

    batch: FilledBatch
    settings: StudentSettings
    most: int = PASSES

    def moments(self, stream: Stream) -> Moments:
        """Uniform shares of the first levels, in discrete time those of a grid; rates are over the greatest of a clip."""
        first, device = self.batch.sigma.double(), self.batch.z.device
        size, count = (len(first), 1), self.settings.discrete_times
        if self.settings.consistency == "discrete":
            left = draws.integers(count, size, stream, device).double()
            return Moments(of_level((left + 1) / count * first), of_level(left / count * first))
        level = (1 - draws.uniform(size, stream, device)).double() * first
        rate = first / (level.square() + (1 - level).square())
        return Moments(of_level(level), rate / rate.amax(1, keepdim=True))

    def rollout(self, steps: int, stream: Stream) -> tuple[Tensor, list[Tensor]]:
        """From filled clips at their levels, by the steps of sampling."""
        times = correction_times(self.batch.sigma, steps)
        return mixed(self.batch.filled, self.batch.noise, times[0]), times


def times_of(batch: FlowBatch, settings: StudentSettings) -> Times:
    """Those of a batch of its kind."""
    return FromFilled(batch, settings) if isinstance(batch, FilledBatch) else FromNoise(batch, settings)
