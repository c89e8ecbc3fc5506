"""Clips in one to four steps, from noise or from filled clips.

B clips, C channels, F frames, H x W latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.video.backbone.flow_matching import After, unchanged
from interdiff.video.distillation.trigflow import Answer, clean, mixed, of_level

TIMES = (math.atan(80.0), 1.5, 1.4, 1.0)
"""Of the first to the fourth step (Zheng et al. 2025)."""


Renoise = Callable[[], Tensor]
"""Makes more noise, [B, C, F, H, W]."""


def fresh(like: Tensor, generator: torch.Generator) -> Renoise:
    """Noise of a tensor's shape, where that is."""
    return lambda: draws.normal(like.shape, generator, like.device)


def correction_times(level_bf: Tensor, steps: int) -> list[Tensor]:
    """Times [B, F] of steps from filled clips at levels [B, F]: in each all frames go the same share of the way to 0."""
    return [of_level(level_bf.double() * ((steps - step) / steps)) for step in range(steps)]


def rollout(student: Answer, noises: Sequence[Tensor], times: Sequence[Tensor], after: After = unchanged) -> Tensor:
    """Clips by a student in as many steps as there are times; only the last step has a gradient.

    Args:
        noises: [B, C, F, H, W], what each step's frames are mixed with; the first is where it starts.
        times: [B, F] or [B, 1], decreasing, fp64.
        after: what each step has made goes through it.
    """
    x = noises[0]
    for number, t in enumerate(times):
        last = number + 1 == len(times)
        with torch.set_grad_enabled(last and torch.is_grad_enabled()):
            x = after(clean(x, student(x, t), t))
            if not last:
                x = mixed(x, noises[number + 1], times[number + 1])
    return x


@torch.no_grad()
def few_steps(student: Answer, noise: Tensor, steps: int, renoise: Renoise, after: After = unchanged) -> Tensor:
    """Clips [B, C, F, H, W] from noise of that shape; `renoise` makes more of it, for all steps but the first."""
    times = [torch.full((len(noise), 1), t, dtype=torch.float64, device=noise.device) for t in TIMES[:steps]]
    return rollout(student, [noise, *(renoise() for _ in times[1:])], times, after)


@torch.no_grad()
def few_passes(
    student: Answer,
    filled: Tensor,
    noise: Tensor,
    level_bf: Tensor,
    steps: int,
    renoise: Renoise,
    after: After = unchanged,
) -> Tensor:
    """Clips from filled ones and noise, both [B, C, F, H, W], whose frames start at noise levels [B, F]."""
    times = correction_times(level_bf, steps)
    return rollout(student, [mixed(filled, noise, times[0]), *(renoise() for _ in times[1:])], times, after)
