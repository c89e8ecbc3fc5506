"""How good generated clips are: distance of distributions, and of each clip from a reference.

B or N clips, C channels, T frames, H x W latents, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn import functional as F

GRID = 2
"""Rows and columns that statistics of a clip are averaged to."""


def statistics(z_bcthw: Tensor) -> np.ndarray:
    """What is where, what moves where, how sharp it is and how much it changes: latents -> [B, 10 C] float64.

    By channel: means and mean absolute differences in time on a 2 x 2 grid, mean absolute differences in space, and the
    deviation over time.
    """
    z = z_bcthw.float()

    def on_grid(x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(rearrange(x, "b c t h w -> (b t) c h w"), GRID)
        return rearrange(pooled, "(b t) c p q -> b t (c p q)", b=len(x)).mean(1)

    parts = [on_grid(z), on_grid(z.diff(dim=2).abs()), _gradients(z).mean((2, 3, 4)), z.std(2).mean((2, 3))]
    return torch.cat(parts, 1).numpy(force=True).astype(np.float64)


def _gradients(z: Tensor) -> Tensor:
    return z.diff(dim=3)[..., :-1].abs() + z.diff(dim=4)[..., :-1, :].abs()


@dataclass(frozen=True)
class Features:
    """Principal components of the statistics of given clips: the fixed features of the Frechet distance."""

    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Features [B, D] of statistics [B, 10 C], of deviation 1 over the clips that the basis comes from."""
        return ((values - self.mean) / self.scale) @ self.basis


def fit_features(values: np.ndarray, count: int = 24) -> Features:
    """The first components of the statistics of real clips [N, 10 C]."""
    mean, scale = values.mean(0), values.std(0) + 1e-6
    _, spread, directions = np.linalg.svd((values - mean) / scale, full_matrices=False)
    kept = min(count, int((spread > 1e-3 * spread[0]).sum()))
    return Features(mean, scale, directions[:kept].T / (spread[:kept] / np.sqrt(len(values))))


def frechet_distance(a_nd: np.ndarray, b_md: np.ndarray) -> float:
    """Between the Gaussians of two sets of features (Dowson & Landau 1982): |m - n|^2 + tr(A + B - 2 (A B)^(1/2))."""
    means = [x.mean(0) for x in (a_nd, b_md)]
    covariances = [np.cov(x, rowvar=False) for x in (a_nd, b_md)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    return float(np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def roughness(z_bcthw: Tensor) -> np.ndarray:
    """Mean absolute second difference in time over the first: [B]. 0 for straight motion, about 2 for flicker."""
    z = z_bcthw.float()
    first, second = z.diff(dim=2), z.diff(dim=2, n=2)
    return (second.abs().mean((1, 2, 3, 4)) / first.abs().mean((1, 2, 3, 4)).clamp_min(1e-6)).numpy(force=True)


def sharpness(z_bcthw: Tensor) -> np.ndarray:
    """Mean absolute difference between neighbouring latents: [B]."""
    return _gradients(z_bcthw.float()).mean((1, 2, 3, 4)).numpy(force=True)


def distance_from_real(values_n: np.ndarray, real_m: np.ndarray) -> float:
    """Wasserstein distance of a figure's distribution from that of real clips, in the real one's deviations."""
    return float(wasserstein_distance(values_n, real_m) / real_m.std())


def distance_to(z_bcthw: Tensor, reference: Tensor) -> np.ndarray:
    """Root mean squared difference of latents: [B]."""
    return (z_bcthw.float() - reference.float()).square().mean((1, 2, 3, 4)).sqrt().numpy(force=True)
