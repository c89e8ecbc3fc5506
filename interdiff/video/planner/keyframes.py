"""Phase 1: the backbone on K frames of a clip, at their own places in time.

B or N clips, C channels, T frames, K keyframes, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import random_indices, uniform_indices
from interdiff.video.backbone.flow_matching import After, Guidance, euler, noisy, take_frames, unchanged
from interdiff.video.backbone.wan import WanDenoiser

if TYPE_CHECKING:
    from interdiff.video.planner.settings import Policy


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


def sample_keyframes(
    model: WanDenoiser,
    noisy_bckhw: Tensor,
    embed_bld: Tensor,
    frames_bk: Tensor,
    levels: Sequence[float],
    guidance: Guidance,
    after: After = unchanged,
) -> Tensor:
    """Phase 1: the frames [B, K] of clips, from these frames at levels[0]; each step's go through `after`."""
    return euler(guidance.velocity(model, embed_bld, frames_bk), noisy_bckhw, levels, after)


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
