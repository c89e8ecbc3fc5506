"""The additive cost of replacing a segment of a sequence by the cubic Hermite spline through the states at its two ends.

A state is a position x [D] and its derivative v [D] by frames. With s = (t - i) / g, g = j - i, the spline of the segment
(i, j) is h(s) = c_0 + c_1 s + c_2 s^2 + c_3 s^3, whose coefficients are those of two positions and two derivatives, and

    cost(i, j) = sum_{t=i..j} || x_t - h(s_t) ||^2
               = sum |x_t|^2 - 2 sum_k c_k . sum_t s_t^k x_t + sum_{k,l} c_k . c_l sum_t s_t^{k+l}.

Prefix sums of t^k x, k = 0..3, give the second term and Faulhaber's formulas the third, so any pair takes O(D) time, as
straight lines do (`segment_cost`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.compiled import njit, prange
from interdiff.keyframes.shapes import check_shapes


def _spline_cost(i, g, first, last, slope, end, x, tx, ttx, tttx, xx):
    """Cost of one segment and one coordinate from its moments over t = i..i+g; plain arithmetic, for scalars and tensors.

    slope, end: derivatives at both ends times g.
    """
    difference = last - first
    quadratic, cubic = 3 * difference - 2 * slope - end, slope + end - 2 * difference
    along = first * x + slope * (tx - i * x) / g
    along = along + quadratic * (ttx - 2 * i * tx + i * i * x) / (g * g)
    along = along + cubic * (tttx - 3 * i * ttx + 3 * i * i * tx - i * i * i * x) / (g * g * g)
    n, m = g + 1, 2 * g + 1
    square = first * first * n + first * slope * n
    square = square + (slope * slope + 2 * first * quadratic) * n * m / (6 * g)
    square = square + (first * cubic + slope * quadratic) * n * n / (2 * g)
    fourth = n * m * (3 * g * g + 3 * g - 1) / (30 * g * g * g)
    square = square + (quadratic * quadratic + 2 * slope * cubic) * fourth
    square = square + quadratic * cubic * n * n * (2 * g * g + 2 * g - 1) / (6 * g * g * g)
    sixth = n * m * (3 * g * g * g * g + 6 * g * g * g - 3 * g + 1) / (42 * g * g * g * g * g)
    return xx - 2 * along + square + cubic * cubic * sixth


_spline_cost_scalar = njit(inline="always")(_spline_cost)


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "nsz"})
def _all_costs(x_btd, v_btd, cost_bij):
    batch, frames, channels = x_btd.shape
    for b in prange(batch):
        for i in range(frames):
            for j in range(frames):
                cost_bij[b, i, j] = np.inf if j <= i else 0.0
        sums = np.zeros((5, frames + 1))
        for d in range(channels):
            centre = x_btd[b, :, d].mean()
            x, v = x_btd[b, :, d] - centre, v_btd[b, :, d]
            for t in range(frames):
                moment = x[t]
                for power in range(4):
                    sums[power, t + 1] = sums[power, t] + moment
                    moment *= t
                sums[4, t + 1] = sums[4, t] + x[t] * x[t]
            for i in range(frames - 2):
                for j in range(i + 2, frames):
                    g = np.float64(j - i)
                    cost = _spline_cost_scalar(
                        np.float64(i), g, x[i], x[j], v[i] * g, v[j] * g,
                        sums[0, j + 1] - sums[0, i], sums[1, j + 1] - sums[1, i], sums[2, j + 1] - sums[2, i],
                        sums[3, j + 1] - sums[3, i], sums[4, j + 1] - sums[4, i],
                    )  # fmt: skip
                    cost_bij[b, i, j] += np.float32(max(cost, 0.0))


def all_spline_costs(x_btd: np.ndarray, v_btd: np.ndarray) -> np.ndarray:
    """Costs of all segments: x, v [B, T, D] -> [B, T, T] float32, infinite where j <= i."""
    check_shapes("x_btd B T D, v_btd B T D", x_btd, v_btd)
    batch, frames, _ = x_btd.shape
    cost_bij = np.empty((batch, frames, frames), np.float32)
    _all_costs(*(np.ascontiguousarray(part, np.float64) for part in (x_btd, v_btd)), cost_bij)
    return cost_bij


def pair_spline_costs(x_btd: Tensor, v_btd: Tensor, i_bp: Tensor, j_bp: Tensor) -> Tensor:
    """Differentiable costs of the given segments only: x, v [B, T, D], i < j [B, P] -> [B, P], in float64."""
    check_shapes("x_btd B T D, v_btd B T D, i_bp B P, j_bp B P", x_btd, v_btd, i_bp, j_bp)
    x, v = (x_btd - x_btd.mean(1, keepdim=True)).double(), v_btd.double()
    t = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
    moments = torch.stack([x, t * x, t**2 * x, t**3 * x, x * x], dim=2)
    sums = torch.cat([torch.zeros_like(moments[:, :1]), moments.cumsum(1)], 1)
    rows = torch.arange(len(x), device=x.device)[:, None]
    inside = (sums[rows, j_bp + 1] - sums[rows, i_bp]).unbind(2)
    i, g = i_bp[..., None].to(x), (j_bp - i_bp)[..., None].to(x)
    cost = _spline_cost(i, g, x[rows, i_bp], x[rows, j_bp], v[rows, i_bp] * g, v[rows, j_bp] * g, *inside)
    return cost.sum(-1).clamp_min(0)
