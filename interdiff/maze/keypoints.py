"""Phase 1: the keypoint denoiser."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeypointDenoiser(nn.Module):
    """Phase 1: predicts clean keypoints from noisy ones, K tokens at their own frames."""

    def __init__(self, frames: int, d_model: int, depth: int, heads: int) -> None:
        super().__init__()
        self.frames = frames
        self.fourier_time = FourierFeatures(5)
        self.fourier_position = FourierFeatures(4, scale=0.25)
        inputs = STATE_CHANNELS + self.fourier_position.width(2) + self.fourier_time.width(1) + 5
        self.embed = mlp(inputs, 2 * d_model, d_model)
        self.noise_level = mlp(self.fourier_time.width(1), d_model, d_model)
        self.backbone = Backbone(d_model, depth, heads)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, STATE_CHANNELS)

    def forward(
        self,
        z_bkc: Tensor,
        noise_b: Tensor,
        indices_bk: Tensor,
        difficulty_bk: Tensor,
        known_bkc: Tensor,
        encoded: tuple[Tensor, Context, Tensor],
    ) -> Tensor:
        """Clean keypoints [B, K, 4] in network units.

        Args:
            z_bkc: noisy keypoints, network units, known channels clean.
            noise_b: [B] noise level in [0, 1].
            indices_bk: [B, K] int64 frames.
            difficulty_bk: [B, K - 1] log cost of the segments between neighbours, from D_phi.
            known_bkc: [B, K, 4] bool, the channels that the condition gives.
            encoded: `self.backbone.encode(condition)`.
        """
        time = indices_bk / (self.frames - 1)
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
        return self.head(self.norm(self.backbone(self.embed(features), encoded, modulation)))
