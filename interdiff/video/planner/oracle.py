"""Exact costs of filling every segment of a clip: mean squared errors of latents, summed over the frames between.

B clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interdiff.axes import rearrange
from interdiff.keyframes.segment_cost import gram_costs
from interdiff.learning.draws import moved
from interdiff.video.interpolators.interpolator import Interpolator
from interdiff.video.interpolators.straightener import Straightener

TOGETHER = 128
"""Frames that are filled at once."""


@torch.no_grad()
def line_costs(z_bcthw: Tensor, straightener: Straightener | None = None) -> np.ndarray:
    """Costs [B, T, T] float32 of straight lines between latents, or between straightened latents; infinite where j <= i.

    Those of straightened lines are errors in that space.
    """
    z = z_bcthw.double()
    if straightener is not None:
        batch = len(z)
        z = straightener(rearrange(z_bcthw, "b c t h w -> (b t) c h w")).double()
        z = rearrange(z, "(b t) c h w -> b c t h w", b=batch)
    x = rearrange(z, "b c t h w -> b t (c h w)")
    return (gram_costs(x @ x.mT) / x.shape[-1]).float().numpy(force=True)


@torch.no_grad()
def interpolator_costs(z_cthw: Tensor, interpolator: Interpolator) -> np.ndarray:
    """Costs [T, T] float32 of one clip [C, T, H, W] by filling every segment with an interpolator; infinite where j <= i."""
    z = z_cthw.movedim(1, 0)
    frames = len(z)
    cost = np.where(np.triu(np.ones((frames, frames), bool), 1), 0.0, np.inf).astype(np.float32)
    # An interpolator looks at each pair once, whatever lies between.
    for gap in range(2, frames):
        inside = torch.arange(1, gap, device=z.device)
        for first in torch.arange(frames - gap, device="cpu").split(max(1, TOGETHER // gap)):
            i = moved(first, z.device)
            tau = (inside / gap).to(z).expand(len(i), -1)
            between = interpolator(z[i], z[i + gap], tau, tau.new_full((len(i),), gap))
            error = (between.z - z[i[:, None] + inside]).square().mean((2, 3, 4)).double().sum(1)
            cost[first.numpy(), first.numpy() + gap] = error.cpu().numpy()
    return cost
