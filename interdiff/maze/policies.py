"""Where keyframes come from: the index policies, and the nested ranks that extend them to finer levels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframe_dp import random_indices, uniform_indices
from interdiff.maze.data import Prepared
from interdiff.maze.masks import Masks
from interdiff.maze.selector import KeyframeSelector, level_costs, select
from interdiff.nested_masks import nested_ranks, random_nested_ranks
from interdiff.segment_cost import all_segment_costs


def keyframe_indices(
    policy: str, k: int, data: Prepared, masks: Masks, selector: KeyframeSelector, rng: np.random.Generator
) -> Tensor:
    """Keyframes [N, K] int64 of every row by policy: "dp" (exact costs), "selector", "uniform" or "random"."""
    count = len(data.states)
    if policy == "uniform":
        indices = np.tile(uniform_indices(data.frames, k), (count, 1))
    elif policy == "random":
        indices = random_indices(count, data.frames, k, rng)
    elif policy == "selector":
        indices = select(selector, data, k)
    else:
        indices = masks.indices[k]
    return torch.as_tensor(indices.astype(np.int64), device=data.states.device)


def levels_from(levels: tuple[int, ...], k: int) -> tuple[int, ...]:
    """The nested levels from K keyframes on."""
    return tuple(level for level in levels if level >= k)


def level_ranks(policy: str, k: int, data: Prepared, selector: KeyframeSelector, rng: np.random.Generator) -> Tensor:
    """Nested ranks [N, T] uint8 of every row, K keyframes at the coarsest level.

    Policies: "dp" (exact costs), "selector", "uniform", and "random_nested" or "random" (random order).
    """
    count, frames, gap = len(data.states), data.frames, selector.max_gap_factor
    levels = levels_from(selector.nested_levels, k)
    if policy in ("random", "random_nested"):
        ranks = random_nested_ranks(count, frames, levels, rng)
    elif policy == "uniform":
        costs = {level: uniform_costs(frames, level) for level in levels}
        ranks = nested_ranks(costs.__getitem__, levels, gap, uniform_indices(frames, k)[None])
        ranks = np.tile(ranks, (count, 1))
    elif policy == "selector":
        conditions = [data.condition(rows) for rows in data.chunks(512)]
        ranks = [nested_ranks(lambda level, c=c: level_costs(selector, c, level), levels, gap) for c in conditions]
        ranks = np.concatenate(ranks)
    else:
        exact = (all_segment_costs(data.world_positions(rows).numpy(force=True)) for rows in data.chunks(512))
        ranks = np.concatenate([nested_ranks(lambda level, c=c: c, levels, gap) for c in exact])
    return torch.as_tensor(ranks, device=data.states.device)


def uniform_costs(frames: int, k: int) -> np.ndarray:
    """Cost matrix [1, T, T] whose optimal paths are as evenly spaced as the frames they must keep allow."""
    t = np.arange(frames)
    gap = (t[None, :] - t[:, None]) * (k - 1) / (frames - 1)
    return np.where(gap > 0, np.square(gap), np.inf).astype(np.float32)[None]
