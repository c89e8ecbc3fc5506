"""What interpolating costs: parameters, time, and arithmetic beside one step of Wan2.1-1.3B."""

from __future__ import annotations

import copy
from functools import cache

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from interdiff.learning.costs import counted_flops, median_milliseconds
from interdiff.video.backbone.wan import WAN_1_3B
from interdiff.video.interpolators.interpolator import fill

WAN_LATENT = (16, 21, 60, 104)
"""Of 81 frames of 480 x 832 pixels."""
WAN_TEXT = (512, 4096)
KEYFRAMES = 4


@cache
def wan_step_flops() -> int:
    """Of one forward pass of Wan2.1-T2V-1.3B over a clip of 81 frames, without guidance; counted on the meta device."""
    with torch.device("meta"):
        model = WanTransformer3DModel(**WAN_1_3B)
        inputs = torch.empty(1, *WAN_LATENT), torch.empty(1), torch.empty(1, *WAN_TEXT)
        return counted_flops(lambda: model(*inputs))


def fill_flops(interpolator: nn.Module) -> int:
    """Of filling a clip of Wan's size between 4 evenly spaced frames: convolutions and products, on the meta device."""
    channels, frames, height, width = WAN_LATENT
    at = torch.linspace(0, frames - 1, KEYFRAMES).round().int()
    model = copy.deepcopy(interpolator).to("meta")

    def run() -> None:
        for gap in at.diff().tolist():
            first, last = torch.empty(2, 1, channels, height, width)
            model(first, last, torch.empty(1, gap - 1), torch.empty(1))

    with torch.device("meta"):
        return counted_flops(run)


def costs(interpolator: nn.Module, z_cthw: Tensor) -> dict[str, float]:
    """Parameters in millions, milliseconds per missing frame of a clip [C, T, H, W] at 4 keyframes, and the share of a step."""
    frames = z_cthw.shape[1]
    mask = torch.zeros(1, frames, dtype=torch.bool)
    mask[0, torch.linspace(0, frames - 1, KEYFRAMES).round().long()] = True

    @torch.no_grad()
    def run(n: int) -> object:
        return fill(z_cthw[None], mask, interpolator)[0].cpu()

    return {
        "params_m": sum(parameter.numel() for parameter in interpolator.parameters()) / 1e6,
        "ms_per_frame": median_milliseconds(run) / (frames - KEYFRAMES),
        "wan_step_share": fill_flops(interpolator) / wan_step_flops(),
    }
