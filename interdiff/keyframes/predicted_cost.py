"""Segment costs from features of frames: what D_phi and selectors of both domains predict."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from interdiff.keyframes.shapes import check_shapes
from interdiff.learning.draws import moved
from interdiff.learning.networks import mlp


class PairCosts(nn.Module):
    """Costs of segments (i, j) from features [B, T, 2 H] of frames as a segment's first and as its last.

    The log of a cost is the inner product of the features of the two ends plus a function of the length, so a pair in use
    costs almost nothing and all pairs take one matrix product.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.length = mlp(2, 32, 1)

    def pairs(self, features_btc: Tensor, i_bp: Tensor, j_bp: Tensor) -> Tensor:
        """Costs of the segments i < j [B, P] -> [B, P]."""
        check_shapes("features_btc B T C, i_bp B P, j_bp B P", features_btc, i_bp, j_bp)
        first, last = features_btc.chunk(2, dim=-1)
        first = first.gather(1, i_bp[..., None].expand(-1, -1, first.shape[-1]))
        last = last.gather(1, j_bp[..., None].expand(-1, -1, last.shape[-1]))
        return self._cost((first * last).sum(-1), j_bp - i_bp)

    def all(self, features_btc: Tensor) -> Tensor:
        """Costs of all segments [B, T, T]; those with j <= i mean nothing."""
        check_shapes("features_btc B T C", features_btc)
        first, last = features_btc.chunk(2, dim=-1)
        t = torch.arange(features_btc.shape[1], device=features_btc.device)
        return self._cost(first @ last.mT, (t[None, :] - t[:, None]).clamp_min(1))

    def _cost(self, affinity: Tensor, length: Tensor) -> Tensor:
        relative = length / self.frames
        features = torch.stack([relative.log(), relative], dim=-1)
        log_cost = affinity + self.length(features)[..., 0] + 2 * features[..., 0]
        return torch.where(length > 1, log_cost.clamp(-12, 8).exp(), 0.0)


def path_potentials(cost: Callable[[Tensor, Tensor], Tensor], like_btc: Tensor, longest: int) -> Tensor:
    """Potentials [B, T, T] of segments up to a length, minus their `cost` of (i, j) [B, P]; -inf for all other pairs.

    like_btc: features of the frames, whose batch, frames, type and device the potentials have.
    """
    check_shapes("like_btc B T C", like_btc)
    batch, frames, _ = like_btc.shape
    near = torch.triu_indices(frames, frames, 1, device="cpu")
    i, j = moved(near[:, near[1] - near[0] <= longest], like_btc.device)
    costs = cost(*(index.expand(batch, -1) for index in (i, j)))
    potential = like_btc.new_full((batch, frames**2), -torch.inf)
    return potential.index_copy(1, i * frames + j, -costs).unflatten(1, (frames, frames))
