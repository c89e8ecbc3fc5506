"""What D_phi learns: exact costs of random segments, and the expected path.

B samples, P segments each, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.losses import cost_regression_loss
from interdiff.keyframes.segment_cost import pair_costs
from interdiff.learning import draws
from interdiff.learning.processes import share
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.segment_cost import SegmentCostModel

# What linear interpolation gets wrong is the path's shape, not its place: displacements over a few frames count more.
SHAPE_LAG = 4
SHAPE_WEIGHT = 20.0


@dataclass(frozen=True)
class SegmentBatch:
    """Segments i < j [B, P] of paths [B, T, 2] in world units, with their conditions."""

    positions: Tensor
    i: Tensor
    j: Tensor
    condition: Condition


@dataclass(frozen=True)
class Segments:
    """Random segments of training data, up to the longest that a path of `k` keyframes may use."""

    data: Prepared
    batch_size: int
    pairs: int
    k: int
    gap_factor: float

    def draw(self, generator: torch.Generator, progress: float) -> SegmentBatch:
        """Rows, and `pairs` segments of each."""
        longest = max_gap(self.data.frames, self.k, self.gap_factor)
        rows = self.data.random_rows(self.batch_size, generator)
        i, j = random_pairs((len(rows), self.pairs), self.data.frames, longest, generator, self.data.device)
        rows, i, j = share(rows, i, j)
        return SegmentBatch(
            self.data.world_positions(rows), i, j, self.data.condition(rows, self.data.groups(self.batch_size))
        )


def random_pairs(
    shape: Sequence[int], frames: int, longest: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Random segments i < j, their length log-uniform in 2..longest, then their place uniform: two int64 of `shape`."""
    exponent = draws.uniform(shape, generator, device)
    length = (2 * ((longest + 1) / 2) ** exponent).long()
    i = (draws.uniform(shape, generator, device) * (frames - length)).long()
    return i, i + length


def segment_cost_loss(model: SegmentCostModel, batch: SegmentBatch) -> dict[str, Tensor]:
    """Gamma deviance of predicted costs, plus squared errors of the expected path and of its displacements.

    The expected cost of a segment is that of the expected path plus that of the spread around it (E|x|^2 = |E x|^2 + var x).
    """
    output = model(batch.condition)
    exact = pair_costs(batch.positions.double(), batch.i, batch.j, model.interpolation).to(output.dtype)
    deviance = cost_regression_loss(model.pair_costs(output, batch.i, batch.j), exact)
    error = output[..., :2] - batch.positions
    path = error.square().mean()
    shape = (error[:, SHAPE_LAG:] - error[:, :-SHAPE_LAG]).square().mean()
    return {"loss": deviance + path + SHAPE_WEIGHT * shape, "deviance": deviance, "path": path, "shape": shape}
