"""What a codec is: videos to normalised latents and back.

B videos, T frames, H x W pixels, f pixels per latent and axis.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from interdiff.errors import InputError

FRAMES_PER_LATENT = 4
CHANNELS = 16


class Codec(Protocol):
    """Videos [B, T, H, W, 3] uint8 <-> normalised latents [B, 16, 1 + (T - 1) / 4, H / f, W / f] float32."""

    @property
    def factor(self) -> int:
        """f, pixels per latent and axis."""
        ...

    def encode(self, video_bthwc: Tensor) -> Tensor: ...

    def decode(self, z_bcthw: Tensor) -> Tensor: ...


def latent_frames(frames: int) -> int:
    """The number of latent frames of a video; InputError where it is not 1 + 4 k."""
    if frames % FRAMES_PER_LATENT != 1:
        raise InputError(f"{frames} frames; expected 1 + 4 k")
    return 1 + (frames - 1) // FRAMES_PER_LATENT


def whole_blocks(video_bthwc: Tensor) -> Tensor:
    """Videos [B, 1 + 4 k, H, W, 3] with the first frame four times: [B, 4 (1 + k), H, W, 3], four frames per latent."""
    return torch.cat([video_bthwc[:, :1].expand(-1, FRAMES_PER_LATENT - 1, -1, -1, -1), video_bthwc], 1)


def reconstruction_psnr(codec: Codec, video_bthwc: Tensor) -> float:
    """Peak signal-to-noise ratio, in dB, of uint8 videos after encoding and decoding."""
    off = (codec.decode(codec.encode(video_bthwc)).double() - video_bthwc.double()) / 255
    return float(-10 * off.square().mean().log10())
