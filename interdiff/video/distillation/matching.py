"""Distribution matching (Yin et al. 2024): clips that a student makes shall be as likely as the teacher's.

A critic learns to denoise the student's clips. Where it and the teacher disagree about a noisy clip, the clip moves towards the
teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.video.backbone.wan import over_frames
from interdiff.video.distillation.trigflow import Answer, clean, mixed

LEAST = 1e-5


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
