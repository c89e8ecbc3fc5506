"""The additive cost of replacing a segment of a sequence by interpolation between its two ends.

By a straight line, the cost of the segment (i, j) of a sequence x [T, D] is the sum over its frames of the squared error,

    cost(i, j) = sum_{t=i..j} || x_t - x_i - (t - i) (x_j - x_i) / (j - i) ||^2.

It is a sum over interior frames (the ends contribute nothing), so the cost of a keyframe path is the sum of its segments'
costs, which dynamic programming needs. It expands into prefix sums of x, t x and x^2, so that any pair takes O(D) time
and all pairs of a sequence O(T^2 D), with no sampling. `spline_cost` does the same for cubic splines.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.compiled import njit, prange
from interdiff.keyframes.shapes import check_shapes
from interdiff.keyframes.spline_cost import all_spline_costs, pair_spline_costs

Interpolation = Literal["linear", "hermite"]
"""What fills: straight lines, or cubic splines whose slopes at keyframes are central differences of the sequence."""
# Costs below this (a mean error of 0.02 units over 20 frames) are the same to every use of them.
COST_FLOOR = 2e-3


def _segment_cost(i, gap, first, last, sum_x, sum_tx, sum_xx):
    """Cost of one segment and one coordinate from its moments over t = i..i+gap; plain arithmetic, for scalars and tensors."""
    slope = (last - first) / gap
    centred_tx = sum_tx - i * sum_x - first * gap * (gap + 1) / 2
    centred_xx = sum_xx - 2 * first * sum_x + (gap + 1) * first * first
    return centred_xx - 2 * slope * centred_tx + slope * slope * gap * (gap + 1) * (2 * gap + 1) / 6


_segment_cost_scalar = njit(inline="always")(_segment_cost)


# NumPy's division (no check for zero) and contiguous sums let the inner loop vectorise.
@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "nsz"})
def _all_costs(x_btd, cost_bij):
    batch, frames, channels = x_btd.shape
    for b in prange(batch):
        for i in range(frames):
            for j in range(frames):
                cost_bij[b, i, j] = np.inf if j <= i else 0.0
        value = np.empty(frames)
        sums = np.zeros((3, frames + 1))
        for d in range(channels):
            centre = x_btd[b, :, d].mean()
            for t in range(frames):
                value[t] = np.float64(x_btd[b, t, d]) - centre
                sums[0, t + 1] = sums[0, t] + value[t]
                sums[1, t + 1] = sums[1, t] + t * value[t]
                sums[2, t + 1] = sums[2, t] + value[t] * value[t]
            for i in range(frames - 2):
                row, last = cost_bij[b, i, i:], value[i:]
                sum_x, sum_tx, sum_xx = sums[0, i + 1 :], sums[1, i + 1 :], sums[2, i + 1 :]
                for gap in range(2, frames - i):
                    cost = _segment_cost_scalar(
                        i, gap, value[i], last[gap],
                        sum_x[gap] - sums[0, i], sum_tx[gap] - sums[1, i], sum_xx[gap] - sums[2, i],
                    )  # fmt: skip
                    row[gap] += np.float32(max(cost, 0.0))


def all_segment_costs(x_btd: np.ndarray, interpolation: Interpolation = "linear") -> np.ndarray:
    """Exact costs of all segments: x [B, T, D] -> cost_bij [B, T, T] float32, infinite where j <= i."""
    check_shapes("x_btd B T D", x_btd)
    if interpolation == "hermite":
        x = x_btd.astype(np.float64)
        return all_spline_costs(x, np.gradient(x, axis=1))
    batch, frames, _ = x_btd.shape
    cost_bij = np.empty((batch, frames, frames), np.float32)
    _all_costs(np.ascontiguousarray(x_btd, np.float32), cost_bij)
    return cost_bij


def gram_costs(gram_btt: Tensor) -> Tensor:
    """Costs of all segments from the products of frames with each other, G = x x^T [B, T, T] -> [B, T, T] float64.

    The squared error of frame t between i and j, with a = (t - i) / (j - i), expands into products alone:
    G_tt - 2 (1 - a) G_ti - 2 a G_tj + (1 - a)^2 G_ii + 2 a (1 - a) G_ij + a^2 G_jj. However large frames are, they are read
    once. Infinite where j <= i.
    """
    check_shapes("gram_btt B T T", gram_btt)
    gram = gram_btt.double()
    frames = gram.shape[1]
    t = torch.arange(frames, device=gram.device, dtype=gram.dtype)
    i, j = t[:, None, None], t[None, :, None]
    a = ((t - i) / (j - i).clamp_min(1)).clamp(0, 1)
    own = gram.diagonal(dim1=1, dim2=2)
    error = own[:, None, None, :] - 2 * (1 - a) * gram[:, :, None, :] - 2 * a * gram[:, None, :, :]
    error = (
        error + (1 - a) ** 2 * own[:, :, None, None] + 2 * a * (1 - a) * gram[..., None] + a**2 * own[:, None, :, None]
    )
    inside = (t > i) & (t < j)
    cost = torch.where(inside, error, 0.0).sum(-1).clamp_min(0)
    return torch.where((j > i)[..., 0], cost, torch.inf)


def pair_costs(x_btd: Tensor, i_bp: Tensor, j_bp: Tensor, interpolation: Interpolation = "linear") -> Tensor:
    """Differentiable costs of the given segments only: x [B, T, D], i < j [B, P] -> [B, P].

    In x's own precision: in float32 the cost of a nearly straight segment, the small difference of large sums, is good
    to about 1e-6 of the sequence's squared norm.
    """
    check_shapes("x_btd B T D, i_bp B P, j_bp B P", x_btd, i_bp, j_bp)
    if interpolation == "hermite":
        return pair_spline_costs(x_btd, torch.gradient(x_btd, dim=1)[0], i_bp, j_bp).to(x_btd.dtype)
    x = x_btd - x_btd.mean(dim=1, keepdim=True)
    t = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
    moments = torch.stack([x, t * x, x * x], dim=-1)
    sums = torch.cat([torch.zeros_like(moments[:, :1]), moments.cumsum(dim=1)], dim=1)
    rows = torch.arange(x.shape[0], device=x.device)[:, None]
    sum_x, sum_tx, sum_xx = (sums[rows, j_bp + 1] - sums[rows, i_bp]).unbind(-1)
    i, gap = i_bp[..., None].to(x.dtype), (j_bp - i_bp)[..., None].to(x.dtype)
    cost = _segment_cost(i, gap, x[rows, i_bp], x[rows, j_bp], sum_x, sum_tx, sum_xx)
    return cost.sum(-1).clamp_min(0)


def sampled_segment_costs(x_btd: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Estimate of `all_segment_costs` from `samples` random interior frames of each sequence's segment; unbiased, same shapes.

    The research log's estimator, made additive: the sampled mean is multiplied by the number of interior frames.
    """
    check_shapes("x_btd B T D", x_btd)
    batch, frames, _ = x_btd.shape
    x = np.asarray(x_btd, np.float32)
    cost = np.full((batch, frames, frames), np.inf, np.float32)
    for i in range(frames - 1):
        j = np.arange(i + 1, frames)
        interior = j - i - 1
        weight = rng.random((batch, samples, len(j)))
        t = i + 1 + np.minimum((weight * interior).astype(int), np.maximum(interior - 1, 0))
        t = np.minimum(t, j)
        alpha = ((t - i) / (j - i))[..., None].astype(np.float32)
        error = x[np.arange(batch)[:, None, None], t] - (1 - alpha) * x[:, i, None, None] - alpha * x[:, j][:, None]
        cost[:, i, i + 1 :] = np.square(error).sum(-1).mean(1) * interior
    return cost
