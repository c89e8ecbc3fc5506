"""The selector: keyframes from the condition alone, distilled from DP over D_phi's costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.predicted_cost import path_potentials
from interdiff.learning.networks import constant, last_linear, mlp, zero
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition, Encoded, MapEncoder
from interdiff.maze.planner.segment_cost import SegmentCostModel

# The precision learns this much faster than the weights: it must follow what they can tell apart.
PRECISION_RATE = 100.0


class KeyframeSelector(SegmentCostModel):
    """Potentials of keyframe paths from the condition and the level K / T.

    Which of several equally good paths DP takes flips with the slightest change of the condition, so labels cannot be
    imitated frame by frame. The selector therefore learns the distribution of whole paths: segment potentials of D_phi's
    form, from which it starts, told the level. Keyframes are its most probable path.

    condition_bias: "direct" adds a linear map of start and goal to the time queries, "encoder" an encoding of start,
    goal and map by a small network of its own, "none" leaves the condition to the backbone. The levels and the bound on
    gaps that its labels kept come along, so that whoever uses it keeps the same.
    """

    def __init__(
        self,
        frames: int,
        frames_per_token: int,
        channels: int,
        condition_bias: Literal["none", "direct", "encoder"],
        nested_levels: Sequence[int],
        max_gap_factor: float,
        d_model: int,
        **size: Any,
    ) -> None:
        super().__init__(frames, frames_per_token, channels, d_model, **size)
        self.frames, self.nested_levels, self.max_gap_factor = frames, tuple(nested_levels), max_gap_factor
        self.level = mlp(3, d_model, d_model)
        # Optimal costs fall with about the fourth power of K; potentials should not.
        self.log_precision = nn.Parameter(torch.tensor([1.0, 3.5]) / PRECISION_RATE)
        self.condition_bias = condition_bias
        self.bias: nn.Module
        if condition_bias == "direct":
            self.bias = nn.Linear(6, d_model)
        elif condition_bias == "encoder":
            self.map_bias = MapEncoder(d_model)
            self.bias = mlp(6 + d_model, 2 * d_model, d_model)
        for layer in (self.level, *([] if condition_bias == "none" else [self.bias])):
            zero(last_linear(layer))

    def forward(self, condition: Condition, k: int) -> Tensor:  # type: ignore[override]
        """D_phi's kind of output [B, T, 2 + 2 H], for level K."""
        return self.at_level(*self.encode(condition), k)

    def encode(self, condition: Condition) -> tuple[Encoded, Tensor | float]:
        """What `at_level` needs of a condition, once for any number of levels."""
        return self.queries.backbone.encode(condition), self._query_bias(condition)

    def at_level(self, encoded: Encoded, bias: Tensor | float, k: int) -> Tensor:
        """`forward` for an encoded condition."""
        told = k / self.frames, (k / self.frames) ** 0.5, 1 / k
        level = self.level(constant(told, encoded.vector.dtype, encoded.vector.device))
        return self.queries(encoded, level, bias)

    def potentials(self, output_btc: Tensor, k: int) -> Tensor:
        """Segment potentials [B, T, T] for paths of K keyframes, -inf where the bound on gaps forbids a segment."""
        longest = max_gap(self.frames, k, self.max_gap_factor)
        level, slope = PRECISION_RATE * self.log_precision
        precision = (level + slope * math.log(k / 8)).exp()
        return path_potentials(lambda i, j: precision * self.pair_costs(output_btc, i, j), output_btc, longest)

    def _query_bias(self, condition: Condition) -> Tensor | float:
        if self.condition_bias == "none":
            return 0.0
        points = torch.cat([condition.start, condition.goal], dim=-1)
        if self.condition_bias == "encoder":
            pooled = self.map_bias(condition.occupancy).mean(1)
            points = torch.cat([points, pooled.repeat_interleave(len(points) // len(pooled), 0)], dim=-1)
        return self.bias(points)[:, None]


def level_costs(model: KeyframeSelector, condition: Condition) -> Callable[[int], np.ndarray]:
    """K -> the selector's cost matrices [B, T, T] at that level: DP over them finds the most probable keyframes."""
    with torch.no_grad():
        encoded = model.encode(condition)

    @torch.no_grad()
    def costs(k: int) -> np.ndarray:
        return model.all_costs(model.at_level(*encoded, k))

    return costs


def select(model: KeyframeSelector, data: Prepared, k: int, chunk: int = 64) -> np.ndarray:
    """Keyframes [N, K] int16 for every row."""
    chunks = [level_costs(model, data.condition(rows))(k) for rows in data.chunks(chunk)]
    return np.concatenate([optimal_indices(cost, k, model.max_gap_factor)[0] for cost in chunks])
