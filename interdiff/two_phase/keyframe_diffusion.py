"""Phase 1: diffusion over K keyframes, with the condition's known values held clean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes
from interdiff.learning import draws

# (noisy keyframes, noise level in [0, 1] per sample) -> clean keyframes
Denoiser = Callable[[Tensor, Tensor], Tensor]


def keyframe_scheduler(train_steps: int = 1000) -> DDIMScheduler:
    """Cosine noise schedule, clean-sample prediction, deterministic few-step sampling (DDIM, Song et al. 2021)."""
    return DDIMScheduler(
        num_train_timesteps=train_steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def noisy_keyframes(
    scheduler: DDIMScheduler, clean: Tensor, known: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Training input: clean [B, K, C] at a random noise level [B] in [0, 1], the known entries [B, K, C] bool kept clean."""
    check_shapes("clean B K C", clean)
    steps = scheduler.config.num_train_timesteps
    t = draws.integers(steps, (len(clean),), generator, clean.device)
    noise = draws.normal(clean.shape, generator, clean.device)
    return torch.where(known, clean, scheduler.add_noise(clean, noise, t)), (t + 1) / steps


@torch.no_grad()
def sample_keyframes(
    scheduler: DDIMScheduler,
    denoise: Denoiser,
    values: Tensor,
    known: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Denoise K keyframes from noise in `steps` deterministic steps; the last prediction is the sample.

    Args:
        values, known: [B, K, C], or what broadcasts to it; where `known` is true the sample is held at `values`, before and
            after every step.

    Returns:
        [B, K, C].
    """
    check_shapes("values B K C", values)
    scheduler.set_timesteps(steps)
    z = torch.where(known, values, draws.normal(values.shape, generator, values.device))
    for t in scheduler.timesteps.tolist():
        level = torch.full((len(z),), (t + 1) / scheduler.config.num_train_timesteps, device=z.device)
        clean = torch.where(known, values, denoise(z, level))
        z = torch.where(known, values, scheduler.step(clean, t, z).prev_sample)
    return clean
