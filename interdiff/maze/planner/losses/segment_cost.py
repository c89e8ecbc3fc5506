"""What D_phi learns: exact costs of random segments, and the expected path."""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.keyframes.dynamic_programming import max_gap
from interdiff.keyframes.losses import cost_regression_loss
from interdiff.keyframes.segment_cost import pair_costs
from interdiff.learning.processes import share
from interdiff.learning.training import Loss
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.segment_cost import SegmentCostModel

# What linear interpolation gets wrong is the path's shape, not its place: displacements over a few frames count more.
SHAPE_LAG = 4
SHAPE_WEIGHT = 20.0


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
