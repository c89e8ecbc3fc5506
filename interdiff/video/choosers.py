"""Who chooses the keyframes of clips to come: the selector, one schedule for all, even spacing, or chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interdiff.checkpoint import load_checkpoint
from interdiff.keyframe_dp import global_indices, random_indices, uniform_indices
from interdiff.video.flow_matching import take_frames
from interdiff.video.selector import VideoSelector
from interdiff.video.shard_dataset import ShardDataset
from interdiff.video.two_phase import Choice, Chooser
from interdiff.video.wan import WanDenoiser, over_frames

TOGETHER = 20
"""Clips that are looked at together."""


def without_looking(policy: str, cost_nij: np.ndarray, k: int, max_gap_factor: float, seed: int) -> Chooser:
    """Keyframes that neither prompt nor noise decide.

    Args:
        policy: "fixed", the one schedule that is best for training clips together; "uniform"; or "random".
        cost_nij: [N, T, T], exact costs of training clips, whose mean decides where masks grow.
    """
    mean = cost_nij.mean(0, keepdims=True)
    frames = cost_nij.shape[1]
    rng = np.random.default_rng(seed)

    def indices(count: int) -> np.ndarray:
        if policy == "random":
            return random_indices(count, frames, k, rng)
        one = global_indices(cost_nij, k, max_gap_factor) if policy == "fixed" else uniform_indices(frames, k)
        return np.tile(one, (count, 1))

    def choose(noise: Tensor, embed: Tensor) -> Choice:
        chosen = torch.from_numpy(indices(len(noise)).astype(np.int64)).to(noise.device)
        return Choice(chosen, lambda level: np.repeat(mean, len(noise), 0))

    return choose


def preview_frames(frames: int, count: int) -> Tensor:
    """The evenly spaced frames [F] that are looked at."""
    return torch.from_numpy(uniform_indices(frames, count).astype(np.int64))


@torch.no_grad()
def preview(backbone: WanDenoiser, noise_bcthw: Tensor, embed_bld: Tensor, places_f: Tensor, level: float) -> Tensor:
    """A look at what noise will become: the backbone's guess, in one pass, at a few frames [F]: [B, C, F, H, W].

    At the highest level any noise is as good as any other and the guess is the mean of what fits the prompt. So the noise is
    taken for a slightly lower level, where the first step from it, whose data is zero on average, would arrive.
    """
    frames = places_f.to(noise_bcthw.device).expand(len(noise_bcthw), -1)
    z = level * take_frames(noise_bcthw, frames)
    sigma = z.new_full((len(z), 1), level)
    return z - over_frames(sigma) * backbone(z, sigma, embed_bld, frames)


def load_selector(folder: Path, device: torch.device) -> VideoSelector:
    """A checkpoint of the selector."""
    return load_checkpoint(folder, "selector", lambda config: VideoSelector(**config), device)


def looks(data: ShardDataset, numbers: Sequence[int], backbone: WanDenoiser, places_f: Tensor, level: float) -> Tensor:
    """`preview` of N clips of a data set with the columns noise and embed: [N, C, F, H, W]."""
    device = next(backbone.parameters()).device
    parts = []
    for rows in torch.as_tensor(numbers).split(TOGETHER):
        noise, embed = (data.batch(name, rows.tolist()).float().to(device) for name in ("noise", "embed"))
        parts.append(preview(backbone, noise, embed, places_f, level).cpu())
    return torch.cat(parts)


def by_selector(selector: VideoSelector, backbone: WanDenoiser, k: int, level: float) -> Chooser:
    """Keyframes by the selector, which looks at the noise if it was trained to."""
    places = selector.network.places

    def choose(noise: Tensor, embed: Tensor) -> Choice:
        look = preview(backbone, noise, embed, places, level) if len(places) else None
        chosen = torch.from_numpy(selector.select(embed, look, k).astype(np.int64)).to(noise.device)
        return Choice(chosen, lambda count: selector.path_costs(embed, look, count))

    return choose
