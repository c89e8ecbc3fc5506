"""What sampling costs: arithmetic, seconds, and both in steps of the backbone on all frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interdiff.learning.flops import counted_flops
from interdiff.learning.timing import median_milliseconds
from interdiff.video.backbone.wan import WanDenoiser


def sampling_costs(
    sample: Callable[[Tensor, Tensor], object], seconds: float, model: WanDenoiser, noise: Tensor, embed: Tensor
) -> dict[str, float]:
    """Costs per clip of sampling a batch of clips from noise [B, C, T, H, W] and embeddings, which took `seconds`.

    Returns:
        `flops` and `seconds` of a clip; `full_step_units` and `full_step_seconds`: both over those of one unguided pass of
        the backbone over all frames of the same clips, on the same machine.
    """
    frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
    level = noise.new_full((len(noise), 1), 0.5)
    flops = counted_flops(lambda: sample(noise[:1], embed[:1]))
    with torch.no_grad():
        step_seconds = median_milliseconds(lambda n: model(noise, level, embed, frames)) / 1e3
    return {
        "flops": flops,
        "seconds": seconds / len(noise),
        "full_step_units": flops / counted_flops(lambda: model(noise[:1], level[:1], embed[:1], frames[:1])),
        "full_step_seconds": seconds / step_seconds,
    }
