"""Phase 2: the refiner."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn


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
