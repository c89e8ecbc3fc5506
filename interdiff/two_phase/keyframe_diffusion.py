"""Phase 1: diffusion over K keyframes, with the condition's known values held clean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes
from interdiff.learning import draws
from interdiff.two_phase.ddim import DDIM, cosine_signal

# (noisy keyframes, noise level in [0, 1] per sample) -> clean keyframes
Denoiser = Callable[[Tensor, Tensor], Tensor]
TRAIN_STEPS = 1000


def keyframe_scheduler() -> DDIM:
    """Cosine noise schedule, clean-sample prediction, deterministic sampling in few steps."""
    return DDIM(cosine_signal(TRAIN_STEPS))


def noisy_keyframes(scheduler: DDIM, clean: Tensor, known: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training input: clean [B, K, C] at a random noise level [B] in [0, 1], the known entries [B, K, C] bool kept clean."""
    check_shapes("clean B K C", clean)
    steps = scheduler.train_steps
    t = draws.integers(steps, (len(clean),), generator, clean.device)
    noise = draws.normal(clean.shape, generator, clean.device)
    return torch.where(known, clean, scheduler.add_noise(clean, noise, t)), (t + 1) / steps


@torch.no_grad()
def sample_keyframes(
    scheduler: DDIM,
    denoise: Denoiser,
    values: Tensor,
    known: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Denoise K keyframes from noise in `steps` deterministic steps; the last prediction is the sample.

    Args:
        values: [B, K, C].
        known: [B, K, C] bool, or what broadcasts to it: where the sample is held at `values`, before and after every step.

    Returns:
        [B, K, C].
    """
    check_shapes("values B K C", values)
    z = torch.where(known, values, draws.normal(values.shape, generator, values.device))
    for t in scheduler.timesteps(steps):
        level = torch.full((len(z),), (t + 1) / scheduler.train_steps, device=z.device)
        clean = torch.where(known, values, denoise(z, level))
        z = torch.where(known, values, scheduler.step(clean, t, z, steps))
    return clean
