"""The selector: keyframes from the condition alone, distilled from DP over D_phi's costs."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.keyframe_dp import density_cost, optimal_indices
from interdiff.maze.data import Prepared
from interdiff.maze.networks import Condition, FrameQueries, MapEncoder
from interdiff.networks import mlp
from interdiff.training import Loss


class KeyframeSelector(nn.Module):
    """Keyframe logits per frame from the condition and the level K / T.

    condition_bias: "direct" adds a linear map of start and goal to the time queries, "encoder" an encoding of start,
    goal and map by a small network of its own, "none" leaves the condition to attention and modulation.
    """

    def __init__(
        self,
        frames: int,
        frames_per_token: int,
        condition_bias: Literal["none", "direct", "encoder"],
        d_model: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.queries = FrameQueries(frames, frames_per_token, 1, d_model, depth, heads)
        self.level = mlp(3, d_model, d_model)
        self.condition_bias = condition_bias
        if condition_bias == "direct":
            self.bias = nn.Linear(6, d_model)
        elif condition_bias == "encoder":
            self.map_bias = MapEncoder(d_model)
            self.bias = mlp(6 + d_model, 2 * d_model, d_model)

    def forward(self, condition: Condition, k: int) -> Tensor:
        """Logits [B, T] of the interior frames' density; both ends, which are always kept, are -inf."""
        level = condition.start.new_tensor([k / self.frames, (k / self.frames) ** 0.5, 1 / k])
        logits = self.queries(condition, self.level(level), self._query_bias(condition))[..., 0]
        ends = torch.zeros_like(logits, dtype=torch.bool)
        ends[:, [0, -1]] = True
        return logits.masked_fill(ends, -torch.inf)

    def _query_bias(self, condition: Condition) -> Tensor | float:
        if self.condition_bias == "none":
            return 0.0
        points = torch.cat([condition.start, condition.goal], dim=-1)
        if self.condition_bias == "encoder":
            pooled = self.map_bias(condition.occupancy).mean(1)
            points = torch.cat([points, pooled.repeat_interleave(len(points) // len(pooled), 0)], dim=-1)
        return self.bias(points)[:, None]


class EntropySettings(Protocol):
    """Options that keep the density from collapsing; see the config."""

    kl_to_uniform: float
    gumbel: float
    temperature: float


def selector_loss(data: Prepared, labels: dict[int, Tensor], batch_size: int, entropy: EntropySettings) -> Loss:
    """Cross-entropy of the density with the labelled keyframes, at a random level per step.

    Args:
        labels: K -> [N, K] int64 keyframes to imitate.
        entropy: `gumbel` adds that much Gumbel noise to the logits (a softened Gumbel top-k sample), `temperature`
            divides them, `kl_to_uniform` weighs KL(density || uniform).
    """
    levels = [k for k in sorted(labels) if k > 2]

    def loss(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        rows = data.random_rows(batch_size, generator)
        k = levels[int(torch.randint(len(levels), (), generator=generator, device=generator.device))]
        logits = model(data.condition(rows), k)[:, 1:-1]
        if entropy.gumbel:
            noise = torch.empty_like(logits).exponential_(generator=generator).log()
            logits = logits - entropy.gumbel * noise
        log_density = F.log_softmax(logits / entropy.temperature, dim=-1)
        label = labels[k][rows][:, 1:-1] - 1
        cross_entropy = -log_density.gather(1, label).mean()
        kl = (log_density.exp() * log_density).sum(-1).mean() + float(np.log(logits.shape[1]))
        return {"loss": cross_entropy + entropy.kl_to_uniform * kl, "cross_entropy": cross_entropy, "kl_to_uniform": kl}

    return loss


def density(logits_bt: Tensor, k: int) -> np.ndarray:
    """Expected number of keyframes at every frame: K - 2 spread over the interior by softmax, one at each end."""
    density_bt = (k - 2) * torch.softmax(logits_bt, dim=-1).double()
    density_bt[:, [0, -1]] = 1
    return density_bt.numpy(force=True)


@torch.no_grad()
def level_costs(model: KeyframeSelector, condition: Condition, k: int) -> np.ndarray:
    """The selector's cost matrices [B, T, T] at level K: DP over them reads keyframes off its density."""
    return density_cost(density(model(condition, k), k))


def select(model: KeyframeSelector, data: Prepared, k: int, gap_factor: float, chunk: int = 512) -> np.ndarray:
    """Keyframes [N, K] int16 for every row."""
    return np.concatenate(
        [optimal_indices(level_costs(model, data.condition(rows), k), k, gap_factor)[0] for rows in data.chunks(chunk)]
    )
