"""D_phi: the segment-cost model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interdiff.keyframe_dp import max_gap
from interdiff.maze.data import Prepared
from interdiff.maze.networks import Condition, FrameQueries
from interdiff.segment_cost import COST_FLOOR, cost_regression_loss, pair_costs
from interdiff.training import Loss


class SegmentCostModel(nn.Module):
    """D_phi: predicts each segment's cost from the condition.

    It maps the condition to an embedded sequence phi [B, T, R] and predicts cost(i, j) as the exact segment cost of phi.
    For linear interpolation this loses nothing: the expected cost of a random sequence depends on its second moments
    only, and any second moments are those of an R-dimensional sequence with R large enough. So predictions are additive
    and non-negative, single pairs cost O(R), and DP over them runs the same code as DP over exact costs.
    """

    def __init__(
        self, frames: int, frames_per_token: int, channels: int, d_model: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.queries = FrameQueries(frames, frames_per_token, channels, d_model, depth, heads)

    def forward(self, condition: Condition) -> Tensor:
        """phi [B, T, R] in world units; feed it to `segment_cost.pair_costs` or `all_segment_costs`."""
        return self.queries(condition)


def random_pairs(batch: int, pairs: int, frames: int, longest: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random segments i < j, their length uniform in 2..longest, then their place uniform: two [batch, pairs] int64."""
    shape = (batch, pairs)
    length = torch.randint(2, longest + 1, shape, generator=generator, device=generator.device)
    i = (torch.rand(shape, generator=generator, device=generator.device) * (frames - length)).long()
    return i, i + length


def segment_cost_loss(data: Prepared, batch_size: int, pairs: int, k: int, gap_factor: float) -> Loss:
    """Regress the exact costs of random segments up to the longest that a path of K keyframes may use."""
    longest = max_gap(data.frames, k, gap_factor)

    def loss(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        rows = data.random_rows(batch_size, generator)
        i, j = random_pairs(len(rows), pairs, data.frames, longest, generator)
        target = pair_costs(data.world_positions(rows), i, j)
        predicted = pair_costs(model(data.condition(rows)), i, j)
        return {"loss": cost_regression_loss(predicted, target), "cost": target.mean(), "predicted": predicted.mean()}

    return loss


@torch.no_grad()
def embed(model: SegmentCostModel, data: Prepared, chunk: int = 512) -> Tensor:
    """phi [N, T, R] of every row."""
    return torch.cat([model(data.condition(rows)) for rows in data.chunks(chunk)])


@torch.no_grad()
def log_difficulty(embedding_btr: Tensor, indices_bk: Tensor) -> Tensor:
    """Log predicted cost of the segments between neighbouring keyframes only: [B, T, R], [B, K] -> [B, K - 1]."""
    cost = pair_costs(embedding_btr, indices_bk[:, :-1], indices_bk[:, 1:])
    return (cost + COST_FLOOR).log()
