"""What phase 1 learns: the velocity of K frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from interdiff.learning.processes import own_draws
from interdiff.learning.training import Loss
from interdiff.video.backbone.flow_matching import drop_prompts, shifted, take_frames, velocity_loss
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.keyframes import policy_frames
from interdiff.video.planner.settings import KeyframesSettings


def keyframes_loss(
    clips: TrainingClips, best: Mapping[int, Tensor], negative: Tensor, settings: KeyframesSettings
) -> Loss:
    """Flow matching on K frames of each clip, over a mix of who chose them; every step draws one K.

    Where batches hold the noise that the backbone made their clips of, phase 1 learns the straight way from one to the other
    (reflow, Liu et al. 2023): few steps suffice, guidance is part of what is learned, and equal noise means equal clips.

    Args:
        clips: batches of `latent`, `embed` and, if they are the backbone's, `noise`.
        best: K -> the oracle's keyframes [N, K] of all clips in their order.
        negative: [L, D], embedding that stands in for the prompts that are dropped.
    """
    policies = list(settings.mix)
    weights = torch.tensor([settings.mix[policy] for policy in policies])
    counts = sorted(best)

    def loss(model: WanDenoiser, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        batch = clips.batch(progress)
        generator = own_draws(generator)
        z, embed, rows = batch["latent"].float(), batch["embed"].float(), batch["row"].cpu()
        device = generator.device
        k = counts[int(torch.randint(len(counts), (), generator=generator, device=device))]
        seed = int(torch.randint(2**31, (), generator=generator, device=device))
        rng = np.random.default_rng(seed)
        own = {k: best[k][rows]}
        choices = torch.stack([policy_frames(policy, k, z.shape[2], own, rng) for policy in policies])
        drawn = torch.from_numpy(rng.choice(len(policies), len(z), p=(weights / weights.sum()).double().numpy()))
        frames = choices[drawn, torch.arange(len(z))].to(device)
        noise = batch["noise"].float() if "noise" in batch else torch.randn(z.shape, generator=generator, device=device)
        embed = drop_prompts(embed, negative, settings.drop_prompt, generator)
        sigma = shifted(torch.rand((len(z), 1), generator=generator, device=device), settings.shift)
        return {"loss": velocity_loss(model, take_frames(z, frames), take_frames(noise, frames), sigma, embed, frames)}

    return loss
