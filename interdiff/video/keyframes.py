"""Phase 1: the backbone on K frames of a clip, at their own places in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from interdiff.distributed import own_draws
from interdiff.keyframe_dp import random_indices, uniform_indices
from interdiff.training import Loss
from interdiff.video.batches import TrainingClips
from interdiff.video.flow_matching import (
    Guidance,
    drop_prompts,
    euler,
    noisy,
    shifted,
    take_frames,
    velocity_loss,
)
from interdiff.video.settings import KeyframesSettings, Policy
from interdiff.video.wan import WanDenoiser


def best_keyframes(oracle: Mapping[str, np.ndarray]) -> dict[int, Tensor]:
    """K -> the best keyframes [N, K] int64, from the arrays of the oracle stage."""
    return {int(k): torch.from_numpy(oracle[f"indices_{k}"].astype(np.int64)) for k in oracle["k"]}


def policy_frames(policy: Policy, k: int, frames: int, best: Mapping[int, Tensor], rng: np.random.Generator) -> Tensor:
    """Keyframes [N, K] int64 of all clips: the oracle's, evenly spaced ones, or random ones; both ends always.

    best: K -> the oracle's [N, K].
    """
    if policy == "oracle":
        return best[k]
    count = len(best[k])
    if policy == "uniform":
        return torch.from_numpy(np.tile(uniform_indices(frames, k), (count, 1)).astype(np.int64))
    return torch.from_numpy(random_indices(count, frames, k, rng).astype(np.int64))


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


def sample_keyframes(
    model: WanDenoiser,
    noisy_bckhw: Tensor,
    embed_bld: Tensor,
    frames_bk: Tensor,
    levels: Sequence[float],
    guidance: Guidance,
) -> Tensor:
    """Phase 1: the frames [B, K] of clips, from these frames at levels[0]."""
    return euler(guidance.velocity(model, embed_bld, frames_bk), noisy_bckhw, levels)


def keyframes_again(
    model: WanDenoiser,
    z_bcthw: Tensor,
    noise_bcthw: Tensor,
    embed_bld: Tensor,
    frames_bk: Tensor,
    levels: Sequence[float],
    guidance: Guidance,
) -> Tensor:
    """What phase 1 makes of a clip's own keyframes noised to levels[0]: the errors that phase 2 must expect of it."""
    z, noise = (take_frames(x, frames_bk) for x in (z_bcthw, noise_bcthw))
    start = noisy(z, noise, z.new_full((len(z), 1), levels[0]))
    return sample_keyframes(model, start, embed_bld, frames_bk, levels, guidance)
