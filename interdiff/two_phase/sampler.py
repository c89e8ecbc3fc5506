"""Phase 2: from keyframes to the full sequence, over nested levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes
from interdiff.two_phase.corruption import with_noise
from interdiff.two_phase.interpolation import Fill

Refine = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(degraded sequence [B, T, C], mask of its anchors [B, T], deviation of the others as `Fill` gives it) -> clean [B, T, C]"""


@torch.no_grad()
def refine_over_levels(
    refine: Refine,
    anchors_btc: Tensor,
    masks: Sequence[Tensor],
    sigmas: Sequence[float],
    fill: Fill,
    generator: torch.Generator,
    project: Callable[[Tensor], Tensor],
    still: bool = False,
) -> tuple[Tensor, Tensor]:
    """Interpolate the anchors and refine them over nested levels, coarse to fine.

    Between two levels the sequence moves as in cold diffusion's algorithm 2 (Bansal et al. 2022):
    x <- x - D(x0, s) + D(x0, s - 1), with x0 the refiner's prediction and D(., s) what fills mask s; then the missing
    frames get the level's noise, as they do in training.

    Args:
        anchors_btc: [B, T, C]; only the frames of masks[0] are read.
        masks: the [B, T] masks of the levels to run, nested, masks[0] the keyframes; one refiner pass for each.
        sigmas: sampling noise of each level.
        project: applied to the prediction after each pass: clips positions and restores what the condition gives.
        still: the noise is the same in all frames.

    Returns:
        The interpolated and the refined sequence, both [B, T, C].
    """
    check_shapes("anchors_btc B T C" + ", masks B T" * len(masks), anchors_btc, *masks)
    interpolated, deviation = fill(anchors_btc, masks[0])
    filled = refined = interpolated
    for level, (mask, sigma) in enumerate(zip(masks, sigmas, strict=True)):
        degraded = with_noise(filled, deviation, sigma, generator, still)
        refined = project(refine(degraded, mask, deviation))
        if level + 1 < len(masks):
            following = masks[level + 1]
            x = filled + fill(refined, following)[0] - fill(refined, mask)[0]
            filled, deviation = fill(x, following)
    return interpolated, refined
