"""Where keyframes come from: the index policies, and how each extends its keyframes to finer nested levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import random_indices, uniform_indices
from interdiff.keyframes.nested_masks import nested_ranks, random_nested_ranks
from interdiff.keyframes.segment_cost import Interpolation, all_segment_costs
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.selector import KeyframeSelector, level_costs

CHUNK = 64


def keyframe_indices(
    policy: str, k: int, data: Prepared, masks: Masks, selector: KeyframeSelector, rng: np.random.Generator
) -> Tensor:
    """Keyframes [N, K] int64 of every row by policy: "dp" (exact costs), "selector", "uniform" or "random"."""
    start = first_keyframes(policy, k, data, masks, rng)
    return rank_indices(level_ranks(policy, (k,), data, selector, rng, start), k)


def first_keyframes(
    policy: str, k: int, data: Prepared, masks: Masks | None, rng: np.random.Generator
) -> Tensor | None:
    """The keyframes [N, K] int64 of the policies that need no network; None of "selector", whose costs decide.

    Raises:
        InputError: policy "dp" without masks, or an unknown policy.
    """
    if policy == "selector":
        return None
    if policy == "dp":
        if masks is None:
            raise InputError("policy dp: its keyframes are known for prepared sequences only")
        indices = masks.indices[k]
    elif policy == "uniform":
        indices = np.tile(uniform_indices(data.frames, k), (len(data.states), 1))
    elif policy == "random":
        indices = random_indices(len(data.states), data.frames, k, rng)
    else:
        raise InputError(f"policy {policy!r}: expected selector, dp, uniform or random")
    return torch.as_tensor(indices.astype(np.int64), device=data.states.device)


def level_ranks(
    policy: str,
    levels: Sequence[int],
    data: Prepared,
    selector: KeyframeSelector,
    rng: np.random.Generator,
    start: Tensor | None,
) -> Tensor:
    """Ranks [N, T] uint8 of nested masks with `levels` keyframes each, by policy.

    Args:
        start: [N, levels[0]] int64, the keyframes to begin with; None for those of the policy's own costs.
    """
    gap = selector.max_gap_factor
    first = None if start is None else start.numpy(force=True)
    if policy == "random":
        assert first is not None
        ranks = random_nested_ranks(first, levels, rng)
    elif policy == "uniform":
        assert first is not None
        ranks = nested_ranks(lambda level: uniform_costs(data.frames, level), levels, gap, first[:1])
        ranks = np.tile(ranks, (len(data.states), 1))
    else:
        costs = {"selector": _selector_costs(selector), "dp": _exact_costs(selector.interpolation)}[policy]
        parts = []
        for rows in data.chunks(CHUNK):
            begin = None if first is None else first[rows.numpy(force=True)]
            parts.append(nested_ranks(costs(data, rows), levels, gap, begin))
        ranks = np.concatenate(parts)
    return torch.as_tensor(ranks, device=data.states.device)


def rank_indices(ranks: Tensor, k: int) -> Tensor:
    """The K keyframes [N, K] int64 of rank 0: ranks [N, T]."""
    return (ranks == 0).nonzero()[:, 1].view(-1, k)


def _selector_costs(selector: KeyframeSelector) -> Callable[[Prepared, Tensor], Callable[[int], np.ndarray]]:
    def costs(data: Prepared, rows: Tensor) -> Callable[[int], np.ndarray]:
        return level_costs(selector, data.condition(rows))

    return costs


def _exact_costs(interpolation: Interpolation) -> Callable[[Prepared, Tensor], Callable[[int], np.ndarray]]:
    def costs(data: Prepared, rows: Tensor) -> Callable[[int], np.ndarray]:
        exact = all_segment_costs(data.world_positions(rows).numpy(force=True), interpolation)
        return lambda level: exact

    return costs


def uniform_costs(frames: int, k: int) -> np.ndarray:
    """Cost matrix [1, T, T] whose optimal paths are as evenly spaced as the frames they must keep allow."""
    t = np.arange(frames)
    gap = (t[None, :] - t[:, None]) * (k - 1) / (frames - 1)
    return np.where(gap > 0, np.square(gap), np.inf).astype(np.float32)[None]
