"""The selector: keyframes from the prompt, and from the costs of what a look at the noise shows.

B clips, T frames, K keyframes, H features of each end of a segment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.predicted_cost import PairCosts, path_potentials
from interdiff.learning.networks import constant
from interdiff.video.planner.segment_cost import FrameFeatures

SCALE_RATE = 10.0
"""Precision and trust learn this much faster than the weights: they must follow what those can tell apart."""


class VideoSelector(nn.Module):
    """A distribution of keyframe paths from a prompt and a look: segment potentials, told the number of keyframes.

    A look's own exact costs are added to what the prompt lets expect, each as much as it proves worth in training: as
    features of the network they would be learned by heart from some hundred clips.
    """

    def __init__(self, frames: int, features: int, looks: bool, max_gap_factor: float, **size: Any) -> None:
        super().__init__()
        self.looks, self.max_gap_factor = looks, max_gap_factor
        self.network = FrameFeatures(frames, 2 * features, conditions=2, **size)
        self.costs = PairCosts(frames)
        self.log_precision = nn.Parameter(torch.tensor([1.0, 1.0]) / SCALE_RATE)
        self.log_trust = nn.Parameter(torch.tensor([1.0, 1.0]) / SCALE_RATE) if looks else None

    def forward(self, embed_bld: Tensor, k: int) -> Tensor:
        """Features [B, T, 2 H]."""
        share = k / self.network.frames
        told = constant((share, math.sqrt(share)), embed_bld.dtype, embed_bld.device)
        condition = told.expand(len(embed_bld), -1)
        return self.network(embed_bld, condition)

    def potentials(self, features_btc: Tensor, seen_bij: Tensor | None, k: int) -> Tensor:
        """Segment potentials [B, T, T] of paths of K keyframes; `seen_bij` are a look's costs, where the selector looks."""

        def cost(i: Tensor, j: Tensor) -> Tensor:
            expected = _at(k, self.log_precision) * self.costs.pairs(features_btc, i, j)
            if self.log_trust is None:
                return expected
            assert seen_bij is not None
            return expected + _at(k, self.log_trust) * seen_bij.flatten(1).gather(1, i * self.network.frames + j)

        return path_potentials(cost, features_btc, max_gap(self.network.frames, k, self.max_gap_factor))

    @torch.no_grad()
    def path_costs(self, embed_bld: Tensor, seen_bij: Tensor | None, k: int) -> np.ndarray:
        """Costs [B, T, T] float32 whose cheapest path is the most probable one of K keyframes."""
        return -self.potentials(self(embed_bld, k), seen_bij, k).float().numpy(force=True)

    def select(self, embed_bld: Tensor, seen_bij: Tensor | None, k: int) -> np.ndarray:
        """Keyframes [B, K] int16."""
        return optimal_indices(self.path_costs(embed_bld, seen_bij, k), k, self.max_gap_factor)[0]


def _at(k: int, log_scale: Tensor) -> Tensor:
    """A scale that is a power of K, from its log at K = 4 and its exponent, both over `SCALE_RATE`."""
    level, slope = SCALE_RATE * log_scale
    return (level + slope * math.log(k / 4)).exp()
