"""Where keyframes come from: the index policies, and the nested ranks that extend them to finer levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframe_dp import optimal_indices, random_indices, uniform_indices
from interdiff.maze.data import Prepared
from interdiff.maze.selector import KeyframeSelector, level_costs, select
from interdiff.nested_masks import nested_ranks, random_nested_ranks
from interdiff.segment_cost import all_segment_costs


def keyframe_indices(
    policy: str, k: int, data: Prepared, selector: KeyframeSelector, gap_factor: float, rng: np.random.Generator
) -> Tensor:
    """Keyframes [N, K] int64 of every row by policy: "dp" (ground truth), "selector", "uniform" or "random"."""
    count = len(data.states)
    if policy == "uniform":
        indices = np.tile(uniform_indices(data.frames, k), (count, 1))
    elif policy == "random":
        indices = random_indices(count, data.frames, k, rng)
    elif policy == "selector":
        indices = select(selector, data, k, gap_factor)
    else:
        indices = np.concatenate([optimal_indices(c, k, gap_factor)[0] for c in exact_costs(data)])
    return torch.as_tensor(indices.astype(np.int64), device=data.states.device)


def exact_costs(data: Prepared, chunk: int = 512):
    """Exact cost matrices [B, T, T] of all rows in order, chunk by chunk."""
    for rows in data.chunks(chunk):
        yield all_segment_costs(data.world_positions(rows).numpy(force=True))


def level_ranks(
    policy: str,
    levels: Sequence[int],
    data: Prepared,
    selector: KeyframeSelector,
    gap_factor: float,
    rng: np.random.Generator,
) -> Tensor:
    """Nested ranks [N, T] uint8 of every row by policy: "dp", "selector", "uniform" or "random_nested"."""
    count, frames = len(data.states), data.frames
    if policy == "random_nested":
        ranks = random_nested_ranks(count, frames, levels, rng)
    elif policy == "uniform":
        start = uniform_indices(frames, levels[0])[None]
        costs = {k: uniform_costs(frames, k) for k in levels[1:]}
        ranks = np.tile(nested_ranks(costs.__getitem__, levels, gap_factor, start), (count, 1))
    elif policy == "selector":
        chunks = [data.condition(rows) for rows in data.chunks(512)]
        ranks = np.concatenate(
            [nested_ranks(lambda k, c=c: level_costs(selector, c, k), levels, gap_factor) for c in chunks]
        )
    else:
        ranks = np.concatenate([nested_ranks(lambda k, c=c: c, levels, gap_factor) for c in exact_costs(data)])
    return torch.as_tensor(ranks, device=data.states.device)


def uniform_costs(frames: int, k: int) -> np.ndarray:
    """Cost matrix [1, T, T] whose optimal paths are as evenly spaced as the frames they must keep allow."""
    t = np.arange(frames)
    gap = (t[None, :] - t[:, None]) * (k - 1) / (frames - 1)
    return np.where(gap > 0, np.square(gap), np.inf).astype(np.float32)[None]
