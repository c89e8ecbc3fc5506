"""Phase 2: the refiner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.corruption import degrade, with_anchor_errors
from interdiff.interpolation import Method, bridge_deviation
from interdiff.maze.data import Prepared
from interdiff.maze.networks import POSITION_OCTAVES, STATE_CHANNELS, STATE_SCALE, Backbone, Condition, sample_sdf, to_network
from interdiff.networks import FourierFeatures, mlp
from interdiff.training import Loss


class Refiner(nn.Module):
    """Phase 2: predicts the clean sequence from one whose missing frames were interpolated."""

    def __init__(self, frames: int, frames_per_token: int, d_model: int, depth: int, heads: int) -> None:
        super().__init__()
        self.frames, self.frames_per_token = frames, frames_per_token
        self.fourier_position = FourierFeatures(POSITION_OCTAVES)
        offsets = torch.tensor([-0.3, 0.0, 0.3])
        self.register_buffer("offsets", torch.cartesian_prod(offsets, offsets), persistent=False)
        inputs = self.fourier_position.width(2) + 2 + 2 + len(self.offsets)
        self.embed = mlp(frames_per_token * inputs, 2 * d_model, d_model)
        self.position = nn.Parameter(0.02 * torch.randn(frames // frames_per_token, d_model))
        self.level = mlp(2, d_model, d_model)
        self.backbone = Backbone(d_model, depth, heads)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, frames_per_token * STATE_CHANNELS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_btc: Tensor, mask_bt: Tensor, condition: Condition) -> Tensor:
        """[B, T, 4] degraded states and the mask of their anchors -> clean states [B, T, 4], both in normalised units."""
        points = x_btc[:, :, None, :2] + self.offsets / condition.cells
        distance = sample_sdf(condition.sdf, points.flatten(1, 2)).view(*x_btc.shape[:2], -1)
        confidence = 1 - bridge_deviation(mask_bt)
        features = torch.cat(
            [
                self.fourier_position(x_btc[..., :2]),
                x_btc[..., 2:],
                mask_bt[..., None].to(x_btc.dtype),
                confidence[..., None],
                distance.clamp(-1, 1),
            ],
            dim=-1,
        )
        tokens = rearrange(features, "b (n f) c -> b n (f c)", f=self.frames_per_token)
        anchors = mask_bt.to(x_btc.dtype).mean(1, keepdim=True)
        modulation = self.level(torch.cat([anchors, anchors.sqrt()], dim=-1))
        encoded = self.backbone.encode(condition)
        hidden = self.norm(self.backbone(self.embed(tokens) + self.position, encoded, modulation))
        change = rearrange(self.head(hidden), "b n (f c) -> b (n f) c", f=self.frames_per_token)
        return x_btc + change / x_btc.new_tensor(STATE_SCALE)


@dataclass(frozen=True)
class Anchors:
    """Phase 1's cached keypoints for a data set: indices [N, K] int64 and keypoints [N, K, 4], of one policy and K."""

    policy: str
    indices: Tensor
    keypoints: Tensor

    @property
    def k(self) -> int:
        return self.indices.shape[1]


class CorruptionSettings(Protocol):
    """The corruption part of the refiner's config; see there."""

    interpolation: Method
    noise: float
    replace_probability: float
    anchor_jitter: float
    collision_weight: float
    collision_margin: float


def wall_penetration(x_btc: Tensor, sdf: Tensor, cells: int, margin: float) -> Tensor:
    """Mean squared depth, in world units, of points and of the middles of pieces below `margin` from a wall."""
    positions = x_btc[..., :2]
    middles = 0.5 * (positions[:, 1:] + positions[:, :-1])
    distance = sample_sdf(sdf, torch.cat([positions, middles], dim=1))
    return F.relu(margin - distance).square().mean()


def refiner_loss(
    data: Prepared,
    anchors: Sequence[Anchors],
    ranks: Mapping[tuple[str, int], Tensor],
    levels: Mapping[int, Sequence[int]],
    batch_size: int,
    corruption: CorruptionSettings,
) -> Loss:
    """Squared error to the clean sequence plus a penalty on points inside walls, over random levels.

    Args:
        anchors: what phase 1 made of the data; every step draws one entry.
        ranks: (policy, K) -> nested ranks [N, T] whose coarsest level has K keyframes.
        levels: K -> the keyframe counts of its levels.
    """

    def loss(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        rows = data.random_rows(batch_size, generator)
        cached = anchors[int(torch.randint(len(anchors), (), generator=generator, device=generator.device))]
        clean, rank = data.states[rows], ranks[cached.policy, cached.k][rows]
        level = torch.randint(len(levels[cached.k]), (len(rows), 1), generator=generator, device=generator.device)
        mask = rank <= level
        wrong = with_anchor_errors(
            clean,
            cached.keypoints[rows],
            cached.indices[rows],
            corruption.replace_probability,
            corruption.anchor_jitter,
            generator,
        )
        degraded = degrade(wrong, mask, corruption.interpolation, corruption.noise, generator)
        condition = data.condition(rows)
        refined = model(degraded, mask, condition)
        error = (to_network(refined) - to_network(clean)).square()
        penetration = wall_penetration(refined, condition.sdf, condition.cells, corruption.collision_margin)
        position, velocity = error[..., :2].mean(), error[..., 2:].mean()
        total = 10 * position + velocity + corruption.collision_weight * penetration
        return {"loss": total, "position": position, "velocity": velocity, "penetration": penetration}

    return loss
