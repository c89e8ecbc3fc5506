"""Consistency: wherever on the teacher's path a student looks from, it sees the same end.

A student's velocity F makes the consistency function f(x_t, t) = cos(t) x_t - sin(t) F(x_t, t). On a path of the teacher's flow
f does not change: df / dt = 0.

B clips, C channels, F frames, H x W latents.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from interdiff.video.backbone.wan import over_frames
from interdiff.video.distillation.trigflow import Answer, clean, mixed, moved_to

STEADY = 0.1
"""What is added to a tangent's norm before the tangent is divided by it."""


def continuous_loss(
    student: Answer, teacher: Answer, data: Tensor, noise: Tensor, t: Tensor, rate: Tensor, warm: float
) -> dict[str, Tensor]:
    """The consistency loss in continuous time (Lu & Song 2024, equation 8 with sections 4.1 and 4.2; Zheng et al. 2025).

    The tangent cos(t) df / du, with dt / du the `rate`, is a Jacobian-vector product of the student along the teacher's flow.
    It is normalised for each clip; one that is not finite counts as zero, and `bad` is the share of those. Attention is the
    MATH kernel's, the only one with forward-mode derivatives: its memory grows with the square of the number of tokens.

    Args:
        t: times [B, F] or [B, 1], fp64.
        rate: of that shape, how fast each frame's time changes along the path; 1 where all frames have one time.
        warm: how much of the tangent's unstable part counts, r, which grows from 0 to 1 over the first steps.
    """
    x = mixed(data, noise, t)
    cos, sin, speed = (over_frames(part).to(x) for part in (t.cos(), t.sin(), rate))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        target = teacher(x, t)
        own, change = torch.func.jvp(student, (x, t), (cos * sin * speed * target, t.cos() * t.sin() * rate))  # type: ignore[misc]
        towards = cos * (1 - (warm * sin).square()).sqrt() * (own - target) + warm * cos * sin * x
        tangent = -speed * towards - warm * change
        good = tangent.isfinite().flatten(1).all(1)[:, None, None, None, None]
        tangent = torch.where(good, tangent, 0.0).double()
        tangent = (tangent / (tangent.square().sum((1, 2, 3, 4), keepdim=True).sqrt() + STEADY)).to(x)
    online = student(x, t)
    loss = (online - online.detach() - tangent).square().sum((1, 2, 3, 4)).mean()
    return {"loss": loss, "bad": 1 - good.float().mean()}


def discrete_loss(
    student: Answer, teacher: Answer, data: Tensor, noise: Tensor, t: Tensor, later: Tensor
) -> dict[str, Tensor]:
    """The consistency loss between neighbouring times (Song et al. 2023, algorithm 2), which needs no derivative.

    Args:
        t, later: times [B, F] or [B, 1], fp64, and the next ones towards data, 0 at its end.
    """
    x = mixed(data, noise, t)
    with torch.no_grad():
        moved = moved_to(x, teacher(x, t), t, later)
        end = torch.where(over_frames(later) > 0, clean(moved, student(moved, later), later), moved)
        cos, sin = over_frames(t.cos()).to(x), over_frames(t.sin()).to(x)
        target = (cos * x - end) / sin
    return {"loss": (student(x, t) - target).square().mean(), "bad": data.new_zeros(())}


def guidance_loss(student: Answer, teacher: Answer, data: Tensor, noise: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Guidance alone (Meng et al. 2023, equation 3): the student's velocity shall be the guided teacher's."""
    x = mixed(data, noise, t)
    with torch.no_grad():
        target = teacher(x, t)
    return {"loss": (student(x, t) - target).square().mean(), "bad": data.new_zeros(())}
