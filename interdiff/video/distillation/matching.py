"""Distribution matching (Yin et al. 2024): clips that a student makes shall be as likely as the teacher's.

A critic learns to denoise the student's clips. Where it and the teacher disagree about a noisy clip, the clip moves towards the
teacher.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interdiff.video.backbone.wan import over_frames
from interdiff.video.distillation.trigflow import Answer, clean, mixed

LEAST = 1e-5


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


def matching_loss(made: Tensor, teacher: Answer, critic: Answer, noise: Tensor, t: Tensor) -> Tensor:
    """Squared distance of clips to where critic and teacher differ towards (Yin et al. 2024, equations 3 and 8)."""
    with torch.no_grad():
        x = mixed(made, noise, t)
        real, fake = clean(x, teacher(x, t), t), clean(x, critic(x, t), t)
        scale = (made - real).abs().mean((1, 2, 3, 4), keepdim=True).clamp_min(LEAST)
        target = made - (fake - real) / scale
    return (made - target).square().mean()


def critic_loss(critic: Answer, made: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Mean squared error of the critic's velocity of the student's clips."""
    made = made.detach()
    velocity = over_frames(t.cos()).to(made) * noise - over_frames(t.sin()).to(made) * made
    return (critic(mixed(made, noise, t), t) - velocity).square().mean()
