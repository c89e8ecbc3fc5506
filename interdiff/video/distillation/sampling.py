"""Clips in one to four steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from interdiff.video.distillation.trigflow import Answer, clean, mixed

TIMES = (math.atan(80.0), 1.5, 1.4, 1.0)
"""Of the first to the fourth step (Zheng et al. 2025)."""


def rollout(student: Answer, noises: Sequence[Tensor], times: Sequence[Tensor]) -> Tensor:
    """Clips by a student in as many steps as there are times; only the last step has a gradient.

    Args:
        noises: [B, C, F, H, W], what each step's frames are mixed with; the first is where it starts.
        times: [B, 1], decreasing, fp64.
    """
    x = noises[0]
    for number, t in enumerate(times):
        last = number + 1 == len(times)
        with torch.set_grad_enabled(last and torch.is_grad_enabled()):
            x = clean(x, student(x, t), t)
            if not last:
                x = mixed(x, noises[number + 1], times[number + 1])
    return x


@torch.no_grad()
def few_steps(student: Answer, noise: Tensor, steps: int, renoise: Callable[[], Tensor]) -> Tensor:
    """Clips [B, C, F, H, W] from noise of that shape; `renoise` makes more of it, for all steps but the first."""
    times = [torch.full((len(noise), 1), t, dtype=torch.float64, device=noise.device) for t in TIMES[:steps]]
    return rollout(student, [noise, *(renoise() for _ in times[1:])], times)
