"""Phase 1: diffusion over keyframes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.learning.networks import FourierFeatures, mlp
from interdiff.learning.own_networks import OwnNetwork
from interdiff.maze.planner.networks import (
    STATE_CHANNELS,
    Backbone,
    Condition,
    Encoded,
    from_network,
    to_network,
)
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import sample_keyframes


class KeyframeDenoiser(nn.Module):
    """Phase 1: predicts clean keyframes from noisy ones, K tokens at their own frames."""

    def __init__(self, frames: int, d_model: int, **size: Any) -> None:
        super().__init__()
        self.frames = frames
        self.fourier_time = FourierFeatures(5)
        self.fourier_position = FourierFeatures(4, scale=0.25)
        inputs = STATE_CHANNELS + self.fourier_position.width(2) + self.fourier_time.width(1) + 5
        self.embed = mlp(inputs, 2 * d_model, d_model)
        self.noise_level = mlp(self.fourier_time.width(1), d_model, d_model)
        self.backbone = Backbone(d_model, **size)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, STATE_CHANNELS)

    def encode(self, condition: Condition) -> Encoded:
        """What it makes of a condition, once for any number of passes."""
        return self.backbone.encode(condition)

    def forward(
        self,
        z_bkc: Tensor,
        noise_b: Tensor,
        indices_bk: Tensor,
        difficulty_bk: Tensor,
        known_bkc: Tensor,
        condition: Condition,
        encoded: Encoded | None = None,
    ) -> Tensor:
        """Clean keyframes [B, K, 4] in network units.

        Args:
            z_bkc: noisy keyframes, network units, known channels clean.
            noise_b: [B] noise level in [0, 1].
            indices_bk: [B, K] int64 frames.
            difficulty_bk: [B, K - 1] log cost of the segments between neighbours, from D_phi.
            known_bkc: [B, K, 4] bool, the channels that the condition gives.
            encoded: `self.encode(condition)`, for several passes.
        """
        encoded = encoded or self.encode(condition)
        time = indices_bk.to(z_bkc.dtype) / (self.frames - 1)
        gap = F.pad(time.diff(dim=1), (1, 1))
        difficulty = F.pad(difficulty_bk, (1, 1))
        features = torch.cat(
            [
                z_bkc,
                self.fourier_position(z_bkc[..., :2]),
                self.fourier_time(time[..., None]),
                gap[:, :-1, None],
                gap[:, 1:, None],
                difficulty[:, :-1, None],
                difficulty[:, 1:, None],
                known_bkc[..., :1].to(z_bkc.dtype),
            ],
            dim=-1,
        )
        modulation = self.noise_level(self.fourier_time(noise_b[:, None]))
        return self.head(self.norm(self.backbone(self.embed(features), time, encoded, modulation)))


def build_keyframes(frames: int, own: Mapping[str, Any] | None = None, **size: Any) -> KeyframeDenoiser | OwnNetwork:
    """Phase 1's network of a configuration: ours of a size, or one's own."""
    return OwnNetwork("keyframes", own, 6, frames=frames) if own else KeyframeDenoiser(frames, **size)


def known_entries(start: Tensor, goal: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """What the condition gives of K keyframes: values [B, K, 4] in network units and where they are known, bool."""
    values = start.new_zeros(len(start), k, STATE_CHANNELS)
    values[:, 0, :2] = start[:, :2]
    values[:, -1, :2] = goal
    known = torch.zeros_like(values, dtype=torch.bool)
    known[:, [0, -1], :2] = True
    return to_network(values), known


@torch.no_grad()
def plan_keyframes(
    model: KeyframeDenoiser | OwnNetwork,
    scheduler: DDIM,
    condition: Condition,
    indices_bk: Tensor,
    difficulty_bk: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Phase 1: keyframes [B, K, 4] in normalised units at frames [B, K], from noise, in `steps` steps."""
    values, known = known_entries(condition.start, condition.goal, indices_bk.shape[1])
    return from_network(
        denoised(model, scheduler, values, known, indices_bk, difficulty_bk, condition, steps, generator)
    )


@torch.no_grad()
def denoised(
    model: KeyframeDenoiser | OwnNetwork,
    scheduler: DDIM,
    values: Tensor,
    known: Tensor,
    indices_bk: Tensor,
    difficulty_bk: Tensor,
    condition: Condition,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Sample [B, K, 4] in network units, held at `values` where `known`; the condition is encoded once."""
    encoded = model.encode(condition)

    def denoise(z: Tensor, level: Tensor) -> Tensor:
        return model(z, level, indices_bk, difficulty_bk, known, condition, encoded=encoded)

    return sample_keyframes(scheduler, denoise, values, known, steps, generator)
