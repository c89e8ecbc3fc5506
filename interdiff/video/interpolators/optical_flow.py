"""An interpolator that works in pixels: what lies between two frames by dense optical flow, as latents.

B clips, C channels, T latent frames, M moments, H x W pixels or latents.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from interdiff.video.codec.codec import FRAMES_PER_LATENT, Codec
from interdiff.video.interpolators.interpolator import gaps
from interdiff.video.interpolators.settings import OpticalFlowSettings


class VideoInterpolator(Protocol):
    """A video-frame interpolator."""

    def __call__(self, first: np.ndarray, last: np.ndarray, times: np.ndarray, /) -> np.ndarray:
        """Pictures [M, H, W, 3] uint8 at times [M] in (0, 1) between two pictures [H, W, 3]."""
        ...


def optical_flow(first: np.ndarray, last: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Both pictures moved along OpenCV's DIS flow and blended, as `VideoInterpolator` says."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, last)]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = grey[0].shape
    still = np.zeros((height, width, 2), np.float32)
    forward, backward = dis.calc(grey[0], grey[1], still.copy()), dis.calc(grey[1], grey[0], still.copy())
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))

    def moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
        at = x + flow[..., 0], y + flow[..., 1]
        return cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)

    # A place of the picture at time t came from first at t of the way back, and goes to last along the rest of the way.
    pictures = [(1 - t) * moved(first, t * backward) + t * moved(last, (1 - t) * forward) for t in times.tolist()]
    return np.stack(pictures).round().astype(np.uint8)


Middle = Callable[[Tensor, Tensor], Tensor]
"""Pictures [1, 3, H, W] in [-1, 1] twice -> the one in the middle."""


def by_halving(middle: Middle) -> VideoInterpolator:
    """What makes middles alone: other moments are the nearest of those that halving again and again gives."""

    def interpolate(first: np.ndarray, last: np.ndarray, times: np.ndarray) -> np.ndarray:
        levels = int(np.ceil(np.log2(len(times) + 1)))

        @cache
        def at(numerator: int, level: int) -> Tensor:
            if numerator % 2 == 0 and level:
                return at(numerator // 2, level - 1)
            if not level:
                return _signed((first, last)[numerator])
            return middle(at((numerator - 1) // 2, level - 1), at((numerator + 1) // 2, level - 1))

        numerators = np.clip(np.round(times * 2**levels), 1, 2**levels - 1).astype(int).tolist()
        return np.stack([_picture(at(numerator, levels)) for numerator in numerators])

    return interpolate


def _signed(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _picture(x: Tensor) -> np.ndarray:
    return ((x[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def fill_in_pixels(z_bcthw: Tensor, mask_bt: Tensor, codec: Codec, interpolate: VideoInterpolator) -> Tensor:
    """Keeps the frames of the mask and fills the others by way of pixels: [B, C, T, H, W].

    The pictures on either side of a gap are the last one of the latent before it and the first one of the latent after it;
    all pictures between them are made, and encoded as the clip that begins with the former.
    """
    filled = z_bcthw.clone()
    for clip, left, right in gaps(mask_bt).tolist():
        ends = z_bcthw[clip, :, [0, left, right]][None]
        shown = codec.decode(ends)[0].cpu().numpy()
        first, last = (shown[0] if left == 0 else shown[FRAMES_PER_LATENT]), shown[FRAMES_PER_LATENT + 1]
        count = FRAMES_PER_LATENT * (right - left - 1)
        times = np.arange(1, count + 1) / (count + 1)
        pictures = np.concatenate([first[None], interpolate(first, last, times)])
        encoded = codec.encode(torch.from_numpy(pictures)[None].to(z_bcthw.device))
        filled[clip, :, left + 1 : right] = encoded[0, :, 1:].to(filled.dtype)
    return filled


def load_optical_flow(settings: OpticalFlowSettings, device: torch.device) -> VideoInterpolator:
    """The one that the settings name."""
    if settings.kind == "dis":
        return optical_flow
    if settings.kind == "rife":
        from interdiff.video.interpolators.rife import load_rife

        return by_halving(load_rife(device))
    from interdiff.video.interpolators.ldmvfi import load_ldmvfi

    return by_halving(load_ldmvfi(Path(settings.folder or ""), Path(settings.checkpoint or ""), device))
