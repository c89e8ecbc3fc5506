"""D_phi: the segment-cost model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.predicted_cost import PairCosts
from interdiff.keyframes.segment_cost import COST_FLOOR, Interpolation, all_segment_costs, pair_costs
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition, FrameQueries


class SegmentCostModel(nn.Module):
    """D_phi: predicts each segment's cost from the condition and (i, j).

    The expected cost of a random sequence is the exact cost of its expected path plus that of the spread around it. A
    transformer turns the condition, once, into the expected path and features of every frame; the log of the spread's
    cost is an inner product of the features of a pair's two ends plus a function of its length. So the path carries what
    lies between i and j, a pair in use costs almost nothing, and all pairs take one matrix product.
    """

    def __init__(
        self,
        frames: int,
        frames_per_token: int,
        channels: int,
        d_model: int,
        interpolation: Interpolation = "linear",
        **size: Any,
    ) -> None:
        super().__init__()
        self.interpolation: Interpolation = interpolation
        told = {"channels": channels, "d_model": d_model, "interpolation": interpolation}
        self.size = {"frames_per_token": frames_per_token, **told, **size}
        self.queries = FrameQueries(frames, frames_per_token, 2 + 2 * channels, d_model, **size)
        self.spread = PairCosts(frames)

    def forward(self, condition: Condition) -> Tensor:
        """[B, T, 2 + 2 H]: expected position in world units, and features of the frame as a segment's first and last."""
        return self.queries(self.queries.backbone.encode(condition))

    def pair_costs(self, output_btc: Tensor, i_bp: Tensor, j_bp: Tensor) -> Tensor:
        """Costs of the segments i < j [B, P], in squared world units -> [B, P]."""
        # The path learns from positions alone: the costs' gradients, ruled by the shortest segments, only slow it down.
        # In float64, because a nearly straight segment's cost is the small difference of large sums.
        path = output_btc[..., :2].detach().double()
        return pair_costs(path, i_bp, j_bp, self.interpolation).to(output_btc.dtype) + self.spread.pairs(
            output_btc[..., 2:], i_bp, j_bp
        )

    def all_costs(self, output_btc: Tensor) -> np.ndarray:
        """Costs of all segments [B, T, T] float32, infinite where j <= i."""
        spread = self.spread.all(output_btc[..., 2:]).numpy(force=True)
        return all_segment_costs(output_btc[..., :2].numpy(force=True), self.interpolation) + spread


@torch.no_grad()
def frame_outputs(model: SegmentCostModel, data: Prepared, chunk: int = 512) -> Tensor:
    """D_phi's output [N, T, 2 + 2 H] of every row."""
    return torch.cat([model(data.condition(rows)) for rows in data.chunks(chunk)])


@torch.no_grad()
def difficulty(model: SegmentCostModel, output_btc: Tensor, indices_bk: Tensor) -> Tensor:
    """Log predicted cost of the segments between neighbouring keyframes only: its output, [B, K] -> [B, K - 1]."""
    cost = model.pair_costs(output_btc, indices_bk[:, :-1], indices_bk[:, 1:])
    return (cost + COST_FLOOR).log()


def costs_of_chunks(
    model: SegmentCostModel, data: Prepared, chunk: int = 64
) -> Iterator[tuple[Tensor, np.ndarray, np.ndarray]]:
    """Rows, D_phi's and the exact cost matrices [B, T, T] of all rows in order, chunk by chunk."""
    for rows in data.chunks(chunk):
        with torch.no_grad():
            predicted = model.all_costs(model(data.condition(rows)))
        yield rows, predicted, all_segment_costs(data.world_positions(rows).numpy(force=True), model.interpolation)
