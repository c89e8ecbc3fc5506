"""Who chooses the keyframes of clips to come: the selector, one schedule, even spacing, chance, or the clips themselves.

B clips to come, N clips that are known, C channels, T frames, K keyframes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import global_indices, optimal_indices, random_indices, uniform_indices
from interdiff.learning.checkpoints import load_checkpoint
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.preview import Preview
from interdiff.video.planner.selector import VideoSelector
from interdiff.video.planner.two_phase import Choice, Chooser

TOGETHER = 20
"""Clips that are looked at together."""


def without_looking(policy: str, cost_nij: np.ndarray, max_gap_factor: float, seed: int) -> Chooser:
    """Keyframes that neither prompt nor noise decide.

    Args:
        policy: "fixed", the one schedule that is best for training clips together; "uniform"; or "random".
        cost_nij: [N, T, T], exact costs of training clips, whose mean decides where masks grow.
    """
    mean = cost_nij.mean(0, keepdims=True)
    frames = cost_nij.shape[1]
    rng = np.random.default_rng(seed)

    @cache
    def schedule(k: int) -> np.ndarray:
        return global_indices(cost_nij, k, max_gap_factor) if policy == "fixed" else uniform_indices(frames, k)

    def choose(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Choice:
        count = len(noise)

        @cache
        def indices(k: int) -> Tensor:
            chosen = random_indices(count, frames, k, rng) if policy == "random" else np.tile(schedule(k), (count, 1))
            return torch.from_numpy(chosen.astype(np.int64))

        return Choice(indices, lambda k: np.repeat(mean, count, 0))

    return choose


def load_selector(folder: Path, device: torch.device) -> VideoSelector:
    """A checkpoint of the selector."""
    return load_checkpoint(folder, "selector", lambda config: VideoSelector(**config), device)


def seen_costs(seen_bcthw: Tensor) -> Tensor:
    """Exact costs [B, T, T] of what a look shows, in means of a clip's segments: a look is paler than the clip will be."""
    cost = line_costs(seen_bcthw)
    mean = cost.mean((1, 2), where=np.isfinite(cost), keepdims=True)
    return torch.from_numpy(cost / mean).to(seen_bcthw)


@torch.no_grad()
def seen_costs_of(data: ShardDataset, numbers: Sequence[int], preview: Preview) -> Tensor:
    """`seen_costs` of N clips of a data set with the columns noise and embed: [N, T, T]."""
    device = next(preview.parameters()).device
    parts = []
    for rows in torch.as_tensor(numbers).split(TOGETHER):
        noise, embed = (data.batch(name, rows.tolist()).float().to(device) for name in ("noise", "embed"))
        parts.append(seen_costs(preview(noise, embed)))
    return torch.cat(parts)


def by_selector(selector: VideoSelector, preview: Preview | None) -> Chooser:
    """Keyframes by the selector, with one look at the noise where there is a preview."""

    @torch.no_grad()
    def choose(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Choice:
        seen = preview(noise, embed) if preview else None
        costs = None if seen is None else seen_costs(seen)

        @cache
        def indices(k: int) -> Tensor:
            return torch.from_numpy(selector.select(embed, costs, k).astype(np.int64))

        return Choice(indices, lambda k: selector.path_costs(embed, costs, k), seen)

    return choose


def by_oracle(max_gap_factor: float) -> Chooser:
    """The keyframes of least cost for each clip itself: how much a choice can matter."""

    def choose(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Choice:
        assert truth is not None
        cost = line_costs(truth)

        @cache
        def indices(k: int) -> Tensor:
            return torch.from_numpy(optimal_indices(cost, k, max_gap_factor)[0].astype(np.int64))

        return Choice(indices, lambda k: cost)

    return choose
