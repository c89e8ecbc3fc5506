"""A distribution over keyframe paths: P(path) proportional to exp(sum of its segments' potentials).

It is a semi-Markov conditional random field (Sarawagi & Cohen 2004) with exactly K - 1 segments. The most probable path is
the one that `dynamic_programming.optimal_indices` finds for cost = -potential, so a selector trained by maximum likelihood
on optimal paths is read off by the same dynamic programming.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes

# In place of -inf, so that the gradient of logsumexp is defined where nothing has reached a frame yet.
FLOOR = -1e9


def log_partition(potential_bij: Tensor, k: int, node_bt: Tensor | None = None) -> Tensor:
    """Log of the sum over all paths of K keyframes: [B, T, T] (-inf where no segment may be) -> [B].

    `node` [B, T] is added at every keyframe; the gradient of the result with respect to it is the keyframes' marginal
    probability at each frame.
    """
    check_shapes("potential_bij B T T, node_bt B T", potential_bij, node_bt)
    if node_bt is not None:
        potential_bij = potential_bij + node_bt[:, None, :]
    reached = potential_bij[:, 0]
    for _ in range(k - 2):
        reached = torch.logsumexp(reached.clamp_min(FLOOR)[:, :, None] + potential_bij.clamp_min(FLOOR), dim=1)
    return reached[:, -1]


def path_potential(potential_bij: Tensor, indices_bk: Tensor) -> Tensor:
    """Summed potentials of given paths: [B, T, T], [B, K] int64 -> [B]."""
    check_shapes("potential_bij B T T, indices_bk B K", potential_bij, indices_bk)
    rows = torch.arange(len(indices_bk), device=indices_bk.device)[:, None]
    return potential_bij[rows, indices_bk[:, :-1], indices_bk[:, 1:]].sum(1)


def marginals(potential_bij: Tensor, k: int) -> Tensor:
    """Probability that a frame is a keyframe, [B, T], the first frame left out; differentiable."""
    check_shapes("potential_bij B T T", potential_bij)
    node = potential_bij.new_zeros(potential_bij.shape[:2], requires_grad=True)
    return torch.autograd.grad(log_partition(potential_bij, k, node).sum(), node, create_graph=True)[0]
