"""The control without phases: diffusion over all T points, with phase 1's noise and what phase 2 sees of the map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.learning.networks import FourierFeatures, mlp
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import known_entries
from interdiff.maze.planner.kinds.sequences import SequencePlanner
from interdiff.maze.planner.networks import (
    STATE_CHANNELS,
    Backbone,
    Condition,
    Encoded,
    from_network,
    sample_sdf,
    to_network,
)
from interdiff.maze.planner.refiner import OFFSETS
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import sample_keyframes


class SequenceDenoiser(nn.Module):
    """Predicts clean states of all frames from noisy ones, `frames_per_token` in each token."""

    def __init__(self, frames: int, frames_per_token: int, d_model: int, **size: Any) -> None:
        super().__init__()
        self.frames, self.frames_per_token = frames, frames_per_token
        self.fourier_position = FourierFeatures(4, scale=0.25)
        self.fourier_level = FourierFeatures(5)
        self.offsets: Tensor
        self.register_buffer("offsets", torch.tensor(OFFSETS), persistent=False)
        inputs = STATE_CHANNELS + self.fourier_position.width(2) + 1 + len(OFFSETS)
        self.embed = mlp(frames_per_token * inputs, 2 * d_model, d_model)
        self.position = nn.Parameter(0.02 * torch.randn(frames // frames_per_token, d_model))
        self.noise_level = mlp(self.fourier_level.width(1), d_model, d_model)
        self.backbone = Backbone(d_model, **size)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, frames_per_token * STATE_CHANNELS)

    def encode(self, condition: Condition) -> Encoded:
        """What it makes of a condition, once for any number of passes."""
        return self.backbone.encode(condition)

    def forward(
        self, z_btc: Tensor, noise_b: Tensor, known_btc: Tensor, condition: Condition, encoded: Encoded | None = None
    ) -> Tensor:
        """Clean states [B, T, 4] in network units.

        Args:
            z_btc: noisy states, network units, known channels clean.
            noise_b: [B] noise level in [0, 1].
            known_btc: [B, T, 4] bool, the channels that are given.
            encoded: `self.encode(condition)`, for several passes.
        """
        points = from_network(z_btc)[:, :, None, :2] + self.offsets / condition.cells
        distance = sample_sdf(condition.sdf, points.flatten(1, 2)).view(*z_btc.shape[:2], -1)
        known = known_btc[..., :1].to(z_btc.dtype)
        features = torch.cat([z_btc, self.fourier_position(z_btc[..., :2]), known, distance.clamp(-1, 1)], dim=-1)
        tokens = rearrange(features, "b (n f) c -> b n (f c)", f=self.frames_per_token)
        times = torch.linspace(0, 1, tokens.shape[1], dtype=tokens.dtype, device=tokens.device)
        modulation = self.noise_level(self.fourier_level(noise_b[:, None]))
        encoded = encoded or self.encode(condition)
        hidden = self.norm(self.backbone(self.embed(tokens) + self.position, times, encoded, modulation))
        return rearrange(self.head(hidden), "b n (f c) -> b (n f) c", f=self.frames_per_token)


@dataclass(frozen=True)
class FullSequence(SequencePlanner):
    """Few-step sampling of all T points (DDIM), start and goal held; also other frames where they are given."""

    model: SequenceDenoiser
    scheduler: DDIM

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model,)

    @torch.no_grad()
    def sequences(self, data: Prepared, rows: Tensor, held: Tensor | None, generator: torch.Generator) -> Tensor:
        condition = data.condition(rows)
        values, known = known_entries(condition.start, condition.goal, data.frames)
        if held is not None:
            values = torch.where(held[..., None], to_network(data.states[rows]), values)
            known = known | held[..., None]
        encoded = self.model.encode(condition)

        def denoise(z: Tensor, level: Tensor) -> Tensor:
            return self.model(z, level, known, condition, encoded=encoded)

        z = sample_keyframes(self.scheduler, denoise, values, known, self.settings.sequence_steps, generator)
        return from_network(z)


def load_sequence_denoiser(folder: Path, data: Prepared) -> SequenceDenoiser:
    """A checkpoint of the sequence_diffusion stage, for sequences of the data's length, on its device."""
    return load_checkpoint(
        folder, "sequence_diffusion", lambda c: SequenceDenoiser(**c), data.device, frames=data.frames
    )
