"""Exact costs of filling every segment of a clip: mean squared errors of latents, summed over the frames between.

B clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interdiff.axes import rearrange
from interdiff.keyframes.segment_cost import gram_costs
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
    i, j, t = torch.combinations(torch.arange(frames, device="cpu"), 3)[:, [0, 2, 1]].T
    errors = []
    for first, last, at in zip(i.split(TOGETHER), j.split(TOGETHER), t.split(TOGETHER), strict=True):
        gap = (last - first).to(z)
        between = interpolator(z[first], z[last], ((at - first).to(z) / gap)[:, None], gap)
        errors.append((between.z[:, 0] - z[at]).square().mean((1, 2, 3)).double().cpu())
    cost = np.where(np.triu(np.ones((frames, frames), bool), 1), 0.0, np.inf)
    np.add.at(cost, (i.numpy(), j.numpy()), torch.cat(errors).numpy())
    return cost.astype(np.float32)
