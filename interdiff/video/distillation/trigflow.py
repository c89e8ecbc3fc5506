"""Any flow-matching Wan as a network of TrigFlow (Lu & Song 2024, section 3): x_t = cos(t) data + sin(t) noise.

The times t in [0, pi / 2] and the levels of flow matching name the same mixtures but for a factor: x_t / (cos t + sin t) is at
level sin t / (cos t + sin t). Coefficients are computed in fp64.

B clips, C channels, F frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interdiff.video.backbone.flow_matching import Guidance
from interdiff.video.backbone.wan import WanDenoiser, over_frames

Answer = Callable[[Tensor, Tensor], Tensor]
"""(frames [B, C, F, H, W], times [B, F] or [B, 1], fp64) -> what a network says of them, [B, C, F, H, W]."""


def answering(model: WanDenoiser, embed_bld: Tensor, frames_bf: Tensor) -> Answer:
    """A denoiser as the velocity of TrigFlow, F = dx_t / dt = cos(t) noise - sin(t) data, in fp32.

    With c = 1 / (cos t + sin t) and the denoiser's v = noise - data of c x_t: F = c ((cos t - sin t) x_t + v). It follows from
    data = c (x_t - sin t v) without dividing by sin t.
    """

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        cos, sin = t.cos(), t.sin()
        scale = 1 / (cos + sin)
        z = over_frames(scale).to(x) * x
        said = model(z, (sin * scale).to(x), embed_bld, frames_bf)
        return over_frames(scale).to(x) * (over_frames(cos - sin).to(x) * x + said)

    return velocity


def guided(model: WanDenoiser, embed_bld: Tensor, frames_bf: Tensor, guidance: Guidance) -> Answer:
    """The same with classifier-free guidance, in one pass over twice the batch; scale 1 has none."""
    if guidance.scale == 1:
        return answering(model, embed_bld, frames_bf)
    embeds = torch.cat([embed_bld, guidance.negative.to(embed_bld).expand_as(embed_bld)])
    both = answering(model, embeds, torch.cat([frames_bf, frames_bf]))

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        with_prompt, without = both(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        scale = torch.where(level_of(t) <= guidance.below, guidance.scale, 1.0)
        return without + over_frames(scale).to(x) * (with_prompt - without)

    return velocity


def mixed(data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t of data and noise at times [B, F] or [B, 1]."""
    return over_frames(t.cos()).to(data) * data + over_frames(t.sin()).to(data) * noise


def clean(x: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """The data that a velocity at x_t points to: cos(t) x_t - sin(t) F."""
    return mixed(x, -velocity, t)


def moved_to(x: Tensor, velocity: Tensor, t: Tensor, to: Tensor) -> Tensor:
    """x at another time along a velocity: exact where data and noise stay the same (DDIM, Lu & Song 2024, equation 4)."""
    return mixed(x, -velocity, t - to)


def of_level(level: Tensor) -> Tensor:
    """The times of flow-matching levels in [0, 1]."""
    return torch.atan2(level, 1 - level)


def level_of(t: Tensor) -> Tensor:
    """The flow-matching levels of times."""
    return t.sin() / (t.cos() + t.sin())
