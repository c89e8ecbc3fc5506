"""What phase 1 learns: clean keyframes from noisy ones.

B samples, K keyframes, C = 4 channels (position and velocity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.draws import moved
from interdiff.learning.own_networks import OwnNetwork
from interdiff.learning.processes import share
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import KeyframeDenoiser, known_entries
from interdiff.maze.planner.networks import STATE_CHANNELS, Condition, to_network
from interdiff.maze.planner.segment_cost import SegmentCostModel, difficulty
from interdiff.maze.planner.settings import KeyframesSettings
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import noisy_keyframes


@dataclass(frozen=True)
class KeyframeBatch:
    """Keyframes [B, K, C] in network units, clean and noisy at levels [B], and what the denoiser is told of them.

    indices [B, K], difficulty [B, K - 1], known [B, K, C] bool: what the condition gives.
    """

    clean: Tensor
    noisy: Tensor
    level: Tensor
    indices: Tensor
    difficulty: Tensor
    known: Tensor
    condition: Condition


@dataclass(frozen=True)
class NoisyKeyframes:
    """Keyframes of training data; every step draws one K and, per sample, an index policy.

    indices: (policy, K) -> [N, K] int64; segment_cost, costs: D_phi and its output for every row.
    """

    data: Prepared
    indices: Mapping[tuple[str, int], Tensor]
    segment_cost: SegmentCostModel
    costs: Tensor
    settings: KeyframesSettings
    scheduler: DDIM

    def draw(self, generator: torch.Generator, progress: float) -> KeyframeBatch:
        """Rows, K, policies, noise levels and noise."""
        data, policies = self.data, list(self.settings.mix)
        rows = data.random_rows(self.settings.training.batch_size, generator)
        counts = sorted({k for _, k in self.indices})
        k = counts[draws.integer(len(counts), generator)]
        choice = moved(
            draws.weighted([self.settings.mix[policy] for policy in policies], len(rows), generator), rows.device
        )
        each = torch.arange(len(rows), device=rows.device)
        index = torch.stack([self.indices[policy, k][rows] for policy in policies])[choice, each]
        clean = to_network(data.states[rows].gather(1, index[..., None].expand(-1, -1, STATE_CHANNELS)))
        _, known = known_entries(data.start[rows], data.goal[rows], k)
        noisy, level = noisy_keyframes(self.scheduler, clean, known, generator)
        rows, index, clean, known, noisy, level = share(rows, index, clean, known, noisy, level)
        hardness = difficulty(self.segment_cost, self.costs[rows], index)
        condition = data.condition(rows, data.groups(self.settings.training.batch_size))
        return KeyframeBatch(clean, noisy, level, index, hardness, known, condition)


def keyframe_loss(model: KeyframeDenoiser | OwnNetwork, batch: KeyframeBatch) -> dict[str, Tensor]:
    """Mean squared error of the predicted clean keyframes (Ho et al. 2020, equation 14, of the sample, not the noise)."""
    predicted = model(batch.noisy, batch.level, batch.indices, batch.difficulty, batch.known, batch.condition)
    return prediction_error(predicted, batch.clean, batch.known)


def prediction_error(predicted: Tensor, clean: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Mean squared error of predicted tokens [B, K, C], zero where known."""
    error = torch.where(known, 0.0, (predicted - clean) ** 2)
    return {"loss": error.mean(), "position": error[..., :2].mean(), "velocity": error[..., 2:].mean()}
