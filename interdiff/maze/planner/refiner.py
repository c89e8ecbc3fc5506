"""Phase 2: the refiner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.learning.networks import FourierFeatures, constant, mlp, zero
from interdiff.learning.own_networks import OwnNetwork
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import (
    POSITION_OCTAVES,
    STATE_CHANNELS,
    STATE_SCALE,
    Backbone,
    Condition,
    Encoded,
    sample_sdf,
)
from interdiff.two_phase.interpolation import bridge_deviation, neighbours

OFFSETS = tuple((row, column) for row in (-0.3, 0.0, 0.3) for column in (-0.3, 0.0, 0.3))
"""Where a network that corrects points sees the signed distance: around each, in cells."""
BETWEEN = 10
"""Numbers that a point is told of the anchors on either side."""


class Refiner(nn.Module):
    """Phase 2: predicts the clean sequence from one whose missing frames were interpolated.

    It is told whether the anchors are exact or phase 1's: the first are to stay, the others to be corrected. It carries the
    interpolation and the noise that it was trained to undo, so that sampling does the same.

    neighbours: each point is told the anchors on either side of it, too (`between_anchors`).
    """

    def __init__(
        self,
        frames: int,
        frames_per_token: int,
        interpolation: str,
        noise: float,
        d_model: int,
        neighbours: bool = False,
        **size: Any,
    ) -> None:
        super().__init__()
        self.frames, self.frames_per_token = frames, frames_per_token
        self.interpolation, self.noise, self.neighbours = interpolation, noise, neighbours
        self.fourier_position = FourierFeatures(POSITION_OCTAVES)
        self.offsets: Tensor
        self.register_buffer("offsets", torch.tensor(OFFSETS), persistent=False)
        inputs = self.fourier_position.width(2) + 2 + 2 + len(self.offsets) + neighbours * BETWEEN
        self.embed = mlp(frames_per_token * inputs, 2 * d_model, d_model)
        self.position = nn.Parameter(0.02 * torch.randn(frames // frames_per_token, d_model))
        self.level = mlp(3, d_model, d_model)
        self.backbone = Backbone(d_model, **size)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, frames_per_token * STATE_CHANNELS)
        zero(self.head)

    def encode(self, condition: Condition) -> Encoded:
        """What it makes of a condition, once for any number of passes."""
        return self.backbone.encode(condition)

    def forward(
        self, x_btc: Tensor, mask_bt: Tensor, exact_b: Tensor, condition: Condition, encoded: Encoded | None = None
    ) -> Tensor:
        """Clean states [B, T, 4] from degraded ones, both in normalised units.

        Args:
            mask_bt: [B, T] bool, the anchors.
            exact_b: [B] bool, whether a sample's anchors are exact.
            encoded: `self.encode(condition)`, for several passes.
        """
        points = x_btc[:, :, None, :2] + self.offsets / condition.cells
        distance = sample_sdf(condition.sdf, points.flatten(1, 2)).view(*x_btc.shape[:2], -1)
        confidence = 1 - bridge_deviation(mask_bt)
        features = [
            self.fourier_position(x_btc[..., :2]),
            x_btc[..., 2:],
            mask_bt[..., None].to(x_btc.dtype),
            confidence[..., None],
            distance.clamp(-1, 1),
        ]
        if self.neighbours:
            features.append(between_anchors(x_btc, mask_bt, condition.cells))
        tokens = rearrange(torch.cat(features, dim=-1), "b (n f) c -> b n (f c)", f=self.frames_per_token)
        anchors = mask_bt.to(x_btc.dtype).mean(1, keepdim=True)
        modulation = self.level(torch.cat([anchors, anchors.sqrt(), exact_b[:, None].to(x_btc.dtype)], dim=-1))
        times = torch.linspace(0, 1, tokens.shape[1], dtype=tokens.dtype, device=tokens.device)
        encoded = encoded or self.encode(condition)
        hidden = self.norm(self.backbone(self.embed(tokens) + self.position, times, encoded, modulation))
        change = rearrange(self.head(hidden), "b n (f c) -> b (n f) c", f=self.frames_per_token)
        return x_btc + change / constant(STATE_SCALE, x_btc.dtype, x_btc.device)


def between_anchors(x_btc: Tensor, mask_bt: Tensor, cells: int) -> Tensor:
    """What every point of a sequence is told of the anchors on either side: [B, T, C], mask [B, T] -> [B, T, BETWEEN].

    In cells, where both are from it, and how far each one's velocity bends the cubic spline through both off the straight
    line between them, which is the sum of the two; then its share of the way and the width of the gap in tau.
    """
    left, right = neighbours(mask_bt)
    first, last = (x_btc.gather(1, at[..., None].expand_as(x_btc)) for at in (left, right))
    gap = (right - left)[..., None].to(x_btc.dtype)
    share = (torch.arange(mask_bt.shape[1], device=left.device) - left)[..., None] / gap.clamp_min(1)
    width = gap / (mask_bt.shape[1] - 1)
    place, line = x_btc[..., :2], last[..., :2] - first[..., :2]
    before = (first[..., 2:] * width - line) * share * (1 - share) ** 2
    after = (line - last[..., 2:] * width) * share**2 * (1 - share)
    shifts = torch.cat([first[..., :2] - place, last[..., :2] - place, before, after], dim=-1)
    return torch.cat([cells * shifts, share, width], dim=-1)


class OwnRefiner(OwnNetwork):
    """A network of one's own as phase 2, with the interpolation and the noise that it was trained to undo."""

    def __init__(self, own: Mapping[str, Any], frames: int, interpolation: str, noise: float) -> None:
        super().__init__("refiner", own, 4, frames=frames)
        self.interpolation, self.noise = interpolation, noise


def build_refiner(
    frames: int,
    frames_per_token: int,
    interpolation: str,
    noise: float,
    own: Mapping[str, Any] | None = None,
    neighbours: bool = False,
    **size: Any,
) -> Refiner | OwnRefiner:
    """Phase 2's network of a configuration: ours of a size, or one's own, which knows nothing of tokens and neighbours."""
    if own:
        return OwnRefiner(own, frames, interpolation, noise)
    return Refiner(frames, frames_per_token, interpolation, noise, neighbours=neighbours, **size)


def load_refiner(folder: Path, data: Prepared) -> Refiner | OwnRefiner:
    """The refiner for sequences of the data's length, on its device."""
    return load_checkpoint(folder, "refiner", lambda c: build_refiner(**c), data.device, frames=data.frames)


def project_out_of_walls(x_btc: Tensor, condition: Condition, margin: float = 0.05, steps: int = 3) -> Tensor:
    """The geometric alternative to a refiner: points closer than `margin` cells to a wall move along the SDF's gradient."""
    step = 0.02
    offsets = step * constant((1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0), torch.float32, x_btc.device).view(4, 2)
    positions, rest = x_btc[..., :2], x_btc[..., 2:]
    for _ in range(steps):
        around = (positions[:, :, None] + offsets / condition.cells).flatten(1, 2)
        distance = sample_sdf(condition.sdf, around).view(*positions.shape[:2], 4)
        gradient = (distance[..., 0::2] - distance[..., 1::2]) / (2 * step)
        gradient = gradient / gradient.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        depth = F.relu(margin - sample_sdf(condition.sdf, positions))[..., None]
        positions = positions + depth * gradient / condition.cells
    return torch.cat([positions, rest], dim=-1)
