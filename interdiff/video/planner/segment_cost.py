"""D_phi: what filling each segment of a clip will cost, from its prompt.

B or N clips, T frames of which i < j bound a segment, L rows of text, D features of each, H features of each end, C conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.predicted_cost import PairCosts
from interdiff.learning.checkpoints import load_checkpoint
from interdiff.learning.networks import FourierFeatures, Transformer, constant, mlp
from interdiff.video.backbone.flow_matching import noisy


def masked_mean(embed_bld: Tensor) -> Tensor:
    """The mean of the rows that hold text, [B, L, D] -> [B, D]: rows past the prompt are zero, and would drown it."""
    real = (embed_bld != 0).any(-1, keepdim=True)
    return (embed_bld * real).sum(1) / real.sum(1).clamp_min(1)


class FrameFeatures(nn.Module):
    """Features of a clip's frames: a transformer over T queries that attend to the prompt.

    text: "attention" to the rows of the prompt without padding, or "pooled", their mean as one token.
    """

    def __init__(
        self,
        frames: int,
        outputs: int,
        conditions: int,
        text_dim: int,
        text: Literal["attention", "pooled"],
        d_model: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.text, self.heads, self.frames = text, heads, frames
        self.fourier = FourierFeatures(5)
        self.time = mlp(self.fourier.width(1), d_model, d_model)
        self.condition = mlp(conditions, d_model, d_model)
        self.prompt = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, d_model))
        self.transformer = Transformer(d_model, depth, heads)
        self.head = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, outputs))

    def forward(self, embed_bld: Tensor, condition_bc: Tensor) -> Tensor:
        """Features of each frame, [B, T, outputs], from prompts and other conditions [B, C]."""
        batch, device = len(embed_bld), embed_bld.device
        real = (embed_bld != 0).any(-1)
        if self.text == "pooled":
            embed_bld, real = masked_mean(embed_bld)[:, None], real[:, :1]
        context = self.prompt(embed_bld)
        padding = torch.where(real, 0.0, torch.finfo(context.dtype).min)[:, None].expand(-1, self.heads, -1)
        t = torch.arange(self.frames, device=device)[:, None] / (self.frames - 1)
        queries = self.time(self.fourier(t)).expand(batch, -1, -1)
        encoded = self.transformer.encode_context(context)
        return self.head(self.transformer(queries, self.condition(condition_bc), encoded, padding))


class VideoSegmentCost(nn.Module):
    """D_phi: costs of a clip's segments, in mean squared error summed over frames, from its prompt and a noise level."""

    def __init__(self, frames: int, features: int, **size: Any) -> None:
        super().__init__()
        self.fourier = FourierFeatures(4)
        self.network = FrameFeatures(frames, 2 * features, conditions=self.fourier.width(1), **size)
        self.costs = PairCosts(frames)

    def forward(self, embed_bld: Tensor, sigma_b: Tensor) -> Tensor:
        """Features [B, T, 2 H] at noise levels [B]; 0 stands for costs of latents."""
        return self.network(embed_bld, self.fourier(sigma_b[:, None]))

    def all_costs(self, embed_bld: Tensor, levels: Sequence[float]) -> np.ndarray:
        """Costs [B, T, T] float32, infinite where j <= i: weighted means over noise levels, of which 0 stands for latents."""
        weights = level_weights(constant(tuple(levels), embed_bld.dtype, embed_bld.device))
        each = [self.costs.all(self(embed_bld, embed_bld.new_full((len(embed_bld),), level))) for level in levels]
        mean = (torch.stack(each, -1) * weights).sum(-1) / weights.sum()
        cost = mean.numpy(force=True)
        return np.where(np.triu(np.ones(cost.shape[1:], bool), 1), cost, np.inf).astype(np.float32)


def load_video_segment_cost(folder: Path, device: torch.device) -> VideoSegmentCost:
    """A checkpoint of D_phi."""
    return load_checkpoint(folder, "segment_cost", lambda config: VideoSegmentCost(**config), device)


@torch.no_grad()
def costs_of_prompts(model: VideoSegmentCost, embeds_nld: Tensor, levels: Sequence[float]) -> np.ndarray:
    """D_phi's costs [N, T, T] at noise levels, of all prompts."""
    return np.concatenate([model.all_costs(part, levels) for part in embeds_nld.split(64)])


@torch.no_grad()
def teacher_costs(
    velocity: Callable[[Tensor, Tensor], Tensor],
    z_bcthw: Tensor,
    noise_bcthw: Tensor,
    i_b: Tensor,
    j_b: Tensor,
    sigma_b: Tensor,
) -> Tensor:
    """How much the teacher's prediction changes when it sees the line from i to j in place of the clip: costs [B].

    The teacher sees the same noise on both; squared differences of its velocities are averaged over latents and summed over
    the frames between.

    velocity: of noisy clips at levels [B, 1].
    """
    t = torch.arange(z_bcthw.shape[2], device=z_bcthw.device)
    inside = (t > i_b[:, None]) & (t < j_b[:, None])
    share = ((t - i_b[:, None]) / (j_b - i_b)[:, None])[:, None, :, None, None]
    each = torch.arange(len(z_bcthw), device=z_bcthw.device)
    first, last = (z_bcthw[each, :, index][:, :, None] for index in (i_b, j_b))
    line = torch.where(inside[:, None, :, None, None], torch.lerp(first, last, share.to(first)), z_bcthw)
    level = sigma_b[:, None]
    seen, filled = (velocity(noisy(z, noise_bcthw, level), level) for z in (z_bcthw, line))
    return ((seen - filled).square().mean((1, 3, 4)) * inside).sum(1)


def level_weights(sigma: Tensor, least: float = 0.1, most: float = 10.0) -> Tensor:
    """Weights of noise levels when costs are averaged over them: the signal-to-noise ratio, clamped (the research log's)."""
    return ((1 - sigma) / sigma).square().clamp(least, most)
