"""D_phi: the segment-cost model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.distributed import share
from interdiff.keyframe_dp import max_gap, optimal_indices, path_cost
from interdiff.maze.data import Prepared
from interdiff.maze.masks import Masks
from interdiff.maze.networks import Condition, FrameQueries
from interdiff.pair_costs import PairCosts
from interdiff.segment_cost import COST_FLOOR, all_segment_costs, cost_regression_loss, pair_costs
from interdiff.training import Loss

# What linear interpolation gets wrong is the path's shape, not its place: displacements over a few frames count more.
SHAPE_LAG = 4
SHAPE_WEIGHT = 20.0


class SegmentCostModel(nn.Module):
    """D_phi: predicts each segment's cost from the condition and (i, j).

    The expected cost of a random sequence is the exact cost of its expected path plus that of the spread around it. A
    transformer turns the condition, once, into the expected path and features of every frame; the log of the spread's
    cost is an inner product of the features of a pair's two ends plus a function of its length. So the path carries what
    lies between i and j, a pair in use costs almost nothing, and all pairs take one matrix product.
    """

    def __init__(self, frames: int, frames_per_token: int, channels: int, d_model: int, depth: int, heads: int) -> None:
        super().__init__()
        self.size = {"frames_per_token": frames_per_token, "channels": channels}
        self.size |= {"d_model": d_model, "depth": depth, "heads": heads}
        self.queries = FrameQueries(frames, frames_per_token, 2 + 2 * channels, d_model, depth, heads)
        self.spread = PairCosts(frames)

    def forward(self, condition: Condition) -> Tensor:
        """[B, T, 2 + 2 H]: expected position in world units, and features of the frame as a segment's first and last."""
        return self.queries(self.queries.backbone.encode(condition))

    def pair_costs(self, output_btc: Tensor, i_bp: Tensor, j_bp: Tensor) -> Tensor:
        """Costs of the segments i < j [B, P], in squared world units -> [B, P]."""
        # The path learns from positions alone: the costs' gradients, ruled by the shortest segments, only slow it down.
        # In float64, because a nearly straight segment's cost is the small difference of large sums.
        path = output_btc[..., :2].detach().double()
        return pair_costs(path, i_bp, j_bp).to(output_btc.dtype) + self.spread.pairs(output_btc[..., 2:], i_bp, j_bp)

    def all_costs(self, output_btc: Tensor) -> np.ndarray:
        """Costs of all segments [B, T, T] float32, infinite where j <= i."""
        spread = self.spread.all(output_btc[..., 2:]).numpy(force=True)
        return all_segment_costs(output_btc[..., :2].numpy(force=True)) + spread


def random_pairs(
    batch: int, pairs: int, frames: int, longest: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random segments i < j, their length log-uniform in 2..longest, then their place uniform: two [batch, pairs] int64."""
    shape = (batch, pairs)
    exponent = torch.rand(shape, generator=generator, device=generator.device)
    length = (2 * ((longest + 1) / 2) ** exponent).long()
    i = (torch.rand(shape, generator=generator, device=generator.device) * (frames - length)).long()
    return i, i + length


def segment_cost_loss(data: Prepared, batch_size: int, pairs: int, k: int, gap_factor: float) -> Loss:
    """Regress the exact costs of random segments up to the longest that a path of K keyframes may use."""
    longest = max_gap(data.frames, k, gap_factor)

    def loss(model: SegmentCostModel, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        rows = data.random_rows(batch_size, generator)
        i, j = random_pairs(len(rows), pairs, data.frames, longest, generator)
        rows, i, j = share(rows, i, j)
        positions = data.world_positions(rows)
        output = model(data.condition(rows))
        deviance = cost_regression_loss(model.pair_costs(output, i, j), pair_costs(positions, i, j))
        error = output[..., :2] - positions
        path = error.square().mean()
        shape = (error[:, SHAPE_LAG:] - error[:, :-SHAPE_LAG]).square().mean()
        return {"loss": deviance + path + SHAPE_WEIGHT * shape, "deviance": deviance, "path": path, "shape": shape}

    return loss


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
        yield rows, predicted, all_segment_costs(data.world_positions(rows).numpy(force=True))


def evaluate(model: SegmentCostModel, data: Prepared, masks: Masks) -> dict[str, dict[str, float]]:
    """Held-out quality per layout: how well D_phi predicts costs, and what DP over its predictions costs.

    correlation and relative_error are over all segments that a path of the coarsest nested level may use;
    cost_ratio_K is the summed exact cost of DP(D_phi)'s keyframes over that of the exact optimum.
    """
    longest = max_gap(data.frames, masks.nested_levels[0], masks.max_gap_factor)
    i, j = np.triu_indices(data.frames, 2)
    i, j = i[j - i <= longest], j[j - i <= longest]
    parts: dict[int, list] = {}
    for rows, predicted, exact in costs_of_chunks(model, data):
        chosen = {
            k: path_cost(exact, optimal_indices(predicted, k, masks.max_gap_factor)[0]).sum() for k in masks.indices
        }
        best = {k: masks.costs[k][rows.numpy(force=True)].sum() for k in masks.indices}
        layout = int(data.layout[rows[0]])
        parts.setdefault(layout, []).append((predicted[:, i, j].ravel(), exact[:, i, j].ravel(), chosen, best))
    return {data.layouts[layout]: _summary(chunks) for layout, chunks in parts.items()}


def _summary(chunks: list) -> dict[str, float]:
    predicted, exact = (np.concatenate([chunk[n] for chunk in chunks]) for n in (0, 1))
    logs = np.log(predicted + COST_FLOOR), np.log(exact + COST_FLOOR)
    return {
        "correlation": float(np.corrcoef(predicted, exact)[0, 1]),
        "log_correlation": float(np.corrcoef(*logs)[0, 1]),
        "relative_error": float(np.abs(predicted - exact).sum() / exact.sum()),
    } | {
        f"cost_ratio_{k}": float(sum(chunk[2][k] for chunk in chunks) / sum(chunk[3][k] for chunk in chunks))
        for k in chunks[0][2]
    }
