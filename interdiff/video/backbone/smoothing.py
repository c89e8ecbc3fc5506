"""Smoothing over time: what a network makes of noisy frames, made as steady as clips are.

A small network errs in every frame on its own, so that its clips flicker, and the more so the less real frames differ from
their neighbours. Its guess of clean frames is taken for these and an error of its own in each, in proportion to the noise
level; clips are taken for a Gaussian process over time. The best guess of the frames is then the process's posterior mean
(Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, equation 2.25),

    K (K + N)^-1 x,    N = diag(error sigma)^2,

where K is the covariance of frames' latents over time, channel by channel.

B clips, C channels, F frames, H x W latents, J length scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from interdiff.axes import rearrange
from interdiff.learning.networks import constant
from interdiff.learning.precision import without_autocast

LENGTHS = (4.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Length scales of the processes that a clip's latents are a sum of, in shares of the clip."""
JITTER = 1e-5
"""Of a variance of one; keeps frames apart that are nearly the same."""


class Smoothing(nn.Module):
    """Velocities of smoothed guesses, of any frames at any levels."""

    def __init__(self, error: float, weights: Sequence[Sequence[float]]) -> None:
        """
        Args:
            error: deviation of a guess of clean frames, over the noise level.
            weights: [C, J], variances of the processes, as `interdiff.video.backbone.backbone.fit_covariance` gives them.
        """
        super().__init__()
        self.error, self.weights = error, [list(row) for row in weights]

    @property
    def config(self) -> dict[str, Any]:
        """What makes another like it."""
        return {"error": self.error, "weights": self.weights}

    def forward(self, velocity: Tensor, z: Tensor, sigma_bf: Tensor, frames_bf: Tensor) -> Tensor:
        """The velocity that leads from frames z [B, C, F, H, W], at levels [B, F] or [B, 1], to the smoothed guess.

        With x = z - sigma v and x' = K (K + N)^-1 x it is (z - x') / sigma = v + error^2 sigma (K + N)^-1 x.
        """
        height = z.shape[-2]
        with without_autocast(z.device):
            sigma = sigma_bf.float().expand(frames_bf.shape)
            level = sigma[:, None, :, None]
            velocity, guess = (rearrange(part, "b c f h w -> b c f (h w)") for part in (velocity, z))
            guess = guess - level * velocity
            noise = torch.diag_embed((self.error * sigma).square() + JITTER)[:, None]
            # `solve` would wait for a GPU to say that no matrix is singular, and none is.
            weighted = torch.linalg.solve_ex((self.covariance(frames_bf) + noise).to(guess), guess).result
            return rearrange(velocity + self.error**2 * level * weighted, "b c f (h w) -> b c f h w", h=height)

    def covariance(self, frames_bf: Tensor) -> Tensor:
        """Of the latents of frames at these places, of which the last is the clip's: [B, C, F, F]."""
        places = frames_bf / frames_bf.amax(1, keepdim=True).clamp_min(1)
        lengths, weights = (
            constant(values, places.dtype, places.device) for values in (LENGTHS, tuple(chain(*self.weights)))
        )
        kernels = matern((places[:, :, None] - places[:, None]).abs()[..., None], lengths)
        return torch.einsum("bfgj,cj->bcfg", kernels, weights.view(-1, len(LENGTHS)))


def matern(distance: Tensor, length: Tensor) -> Tensor:
    """The Matérn covariance of order 5/2 and variance 1 (Rasmussen & Williams 2006, equation 4.17)."""
    r = 5**0.5 * distance / length
    return (1 + r + r.square() / 3) * torch.exp(-r)
