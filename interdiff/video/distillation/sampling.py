"""Clips in one to four steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from interdiff.video.distillation.trigflow import Answer, clean, mixed

TIMES = (math.atan(80.0), 1.5, 1.4, 1.0)
"""Of the first to the fourth step (Zheng et al. 2025)."""


@torch.no_grad()
def few_steps(
    student: Answer, noise: Tensor, steps: int, renoise: Callable[[], Tensor], after: Callable[[Tensor], Tensor]
) -> Tensor:
    """Clips [B, C, F, H, W] from noise of that shape: what each step sees as data is mixed with new noise for the next.

    Args:
        renoise: makes noise of the clips' shape.
        after: what each step has made goes through it.
    """
    x = noise
    for number, now in enumerate(TIMES[:steps]):
        t = torch.full((len(x), 1), now, dtype=torch.float64, device=x.device)
        x = clean(x, student(x, t), t)
        if number + 1 < steps:
            x = mixed(x, renoise(), torch.full_like(t, TIMES[number + 1]))
        x = after(x)
    return x
