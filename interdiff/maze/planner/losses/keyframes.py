"""What phase 1 learns: clean keyframes from noisy ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from interdiff.learning.processes import share
from interdiff.learning.training import Loss
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import KeyframeDenoiser, known_entries
from interdiff.maze.planner.networks import STATE_CHANNELS, to_network
from interdiff.maze.planner.segment_cost import SegmentCostModel, difficulty
from interdiff.maze.planner.settings import KeyframesSettings
from interdiff.two_phase.keyframe_diffusion import noisy_keyframes


def keyframe_loss(
    data: Prepared,
    indices: Mapping[tuple[str, int], Tensor],
    segment_cost: SegmentCostModel,
    costs: Tensor,
    settings: KeyframesSettings,
    scheduler: DDIMScheduler,
) -> Loss:
    """Mean squared error of the predicted clean keyframes, over a mix of index policies and keyframe counts.

    Args:
        indices: (policy, K) -> [N, K] int64; every step draws one K and, per sample, a policy.
        segment_cost, costs: D_phi and its output for every row, for the difficulty features.
    """
    policies = list(settings.mix)
    weights = torch.tensor([settings.mix[policy] for policy in policies])
    counts = sorted({k for _, k in indices})

    def loss(model: KeyframeDenoiser, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        rows = data.random_rows(settings.training.batch_size, generator)
        k = counts[int(torch.randint(len(counts), (), generator=generator, device=generator.device))]
        choice = torch.multinomial(weights, len(rows), replacement=True, generator=generator)
        index = torch.stack([indices[policy, k][rows] for policy in policies])[choice, torch.arange(len(rows))]
        clean = to_network(data.states[rows].gather(1, index[..., None].expand(-1, -1, STATE_CHANNELS)))
        _, known = known_entries(data.start[rows], data.goal[rows], k)
        noisy, level = noisy_keyframes(scheduler, clean, known, generator)
        rows, index, clean, known, noisy, level = share(rows, index, clean, known, noisy, level)
        condition = data.condition(rows)
        hardness = difficulty(segment_cost, costs[rows], index)
        return prediction_error(model(noisy, level, index, hardness, known, condition), clean, known)

    return loss


def prediction_error(predicted: Tensor, clean: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Mean squared error of predicted tokens [B, K, 4], zero where known."""
    error = torch.where(known, 0.0, (predicted - clean) ** 2)
    return {"loss": error.mean(), "position": error[..., :2].mean(), "velocity": error[..., 2:].mean()}
