"""Phase 1: diffusion over keypoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.diffusion import noisy_keyframes, sample_keyframes
from interdiff.distributed import share
from interdiff.maze.data import Prepared
from interdiff.maze.networks import STATE_CHANNELS, Backbone, Condition, Encoded, from_network, to_network
from interdiff.maze.segment_cost import SegmentCostModel, difficulty
from interdiff.maze.settings import KeypointsSettings
from interdiff.networks import FourierFeatures, mlp
from interdiff.training import Loss


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
        condition: Condition | Encoded,
    ) -> Tensor:
        """Clean keypoints [B, K, 4] in network units.

        Args:
            z_bkc: noisy keypoints, network units, known channels clean.
            noise_b: [B] noise level in [0, 1].
            indices_bk: [B, K] int64 frames.
            difficulty_bk: [B, K - 1] log cost of the segments between neighbours, from D_phi.
            known_bkc: [B, K, 4] bool, the channels that the condition gives.
            condition: or `self.backbone.encode` of it, for several passes.
        """
        encoded = self.backbone.encode(condition) if isinstance(condition, Condition) else condition
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


def known_entries(start: Tensor, goal: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """What the condition gives of K keypoints: values [B, K, 4] in network units and where they are known, bool."""
    values = start.new_zeros(len(start), k, STATE_CHANNELS)
    values[:, 0, :2] = start[:, :2]
    values[:, -1, :2] = goal
    known = torch.zeros_like(values, dtype=torch.bool)
    known[:, [0, -1], :2] = True
    return to_network(values), known


def keypoint_loss(
    data: Prepared,
    indices: Mapping[tuple[str, int], Tensor],
    segment_cost: SegmentCostModel,
    costs: Tensor,
    settings: KeypointsSettings,
    scheduler: DDIMScheduler,
) -> Loss:
    """Mean squared error of the predicted clean keypoints, over a mix of index policies and keypoint counts.

    Args:
        indices: (policy, K) -> [N, K] int64; every step draws one K and, per sample, a policy.
        segment_cost, costs: D_phi and its output for every row, for the difficulty features.
    """
    policies = list(settings.mix)
    weights = torch.tensor([settings.mix[policy] for policy in policies])
    counts = sorted({k for _, k in indices})

    def loss(model: KeypointDenoiser, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
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


@torch.no_grad()
def sample_keypoints(
    model: KeypointDenoiser,
    scheduler: DDIMScheduler,
    condition: Condition,
    indices_bk: Tensor,
    difficulty_bk: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Phase 1: keypoints [B, K, 4] in normalised units at frames [B, K], from noise, in `steps` steps."""
    values, known = known_entries(condition.start, condition.goal, indices_bk.shape[1])
    return from_network(
        denoised(model, scheduler, values, known, indices_bk, difficulty_bk, condition, steps, generator)
    )


@torch.no_grad()
def denoised(
    model: KeypointDenoiser,
    scheduler: DDIMScheduler,
    values: Tensor,
    known: Tensor,
    indices_bk: Tensor,
    difficulty_bk: Tensor,
    condition: Condition,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Sample [B, K, 4] in network units, held at `values` where `known`; the condition is encoded once."""
    encoded = model.backbone.encode(condition)

    def denoise(z: Tensor, level: Tensor) -> Tensor:
        return model(z, level, indices_bk, difficulty_bk, known, encoded)

    return sample_keyframes(scheduler, denoise, values, known, steps, generator)
