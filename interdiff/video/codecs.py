"""Between videos and latents: one interface for the fitted linear codec of the laptop and for Wan's VAE.

A codec owns the normalisation of its latents and the structure in time: the first frame is a latent frame of its own, every
further one stands for four frames, so that 1 + 4 k frames are 1 + k latent frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from interdiff.checkpoint import load_checkpoint
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


class LinearCodec(nn.Module):
    """Principal components of blocks of 4 frames by f x f pixels; the first frame counts as four equal ones.

    So every latent frame is in the same basis, and what lies between two of them can be interpolated.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self._factor = factor
        size = FRAMES_PER_LATENT * factor * factor * 3
        self.mean: Tensor
        self.basis: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(CHANNELS, size))
        self.register_buffer("std", torch.ones(CHANNELS))

    @property
    def factor(self) -> int:
        return self._factor

    def encode(self, video_bthwc: Tensor) -> Tensor:
        blocks = self._blocks(video_bthwc)
        return rearrange((blocks - self.mean) @ self.basis.T / self.std, "b t h w c -> b c t h w")

    def decode(self, z_bcthw: Tensor) -> Tensor:
        z = rearrange(z_bcthw.to(self.mean.dtype), "b c t h w -> b t h w c")
        blocks = (z * self.std) @ self.basis + self.mean
        shape = {"n": FRAMES_PER_LATENT, "p": self.factor, "q": self.factor}
        video = rearrange(blocks, "b t h w (n p q c) -> b t n (h p) (w q) c", **shape)
        first, rest = video[:, 0].mean(1, keepdim=True), video[:, 1:].flatten(1, 2)
        return torch.cat([first, rest], 1).clamp(0, 1).mul(255).round().to(torch.uint8)

    def _blocks(self, video_bthwc: Tensor) -> Tensor:
        """[B, T, H, W, 3] -> [B, 1 + (T - 1) / 4, h, w, 4 f f 3] in [0, 1]."""
        latent_frames(video_bthwc.shape[1])
        video = whole_blocks(video_bthwc)
        shape = {"n": FRAMES_PER_LATENT, "p": self.factor, "q": self.factor}
        blocks = rearrange(video, "b (t n) (h p) (w q) c -> b t h w (n p q c)", **shape)
        return blocks.to(self.mean.dtype) / 255


def fit_linear_codec(videos: Iterable[Tensor], factor: int) -> LinearCodec:
    """The 16 principal components of all blocks of videos [B, T, H, W, 3], and their spread."""
    codec = LinearCodec(factor).double()
    count, total, outer = 0, torch.zeros_like(codec.mean), torch.zeros(len(codec.mean), len(codec.mean)).double()
    for video in videos:
        blocks = codec._blocks(video).flatten(0, -2)
        count, total, outer = count + len(blocks), total + blocks.sum(0), outer + blocks.T @ blocks
    codec.mean = total / count
    variances, directions = torch.linalg.eigh(outer / count - torch.outer(codec.mean, codec.mean))
    kept = directions[:, -CHANNELS:].flip(-1).T
    # The sign of a component is arbitrary: the same one on every machine.
    signs = kept.gather(1, kept.abs().argmax(1, keepdim=True)).sign()
    codec.basis, codec.std = kept * signs, variances[-CHANNELS:].flip(-1).clamp_min(1e-12).sqrt()
    return codec.float()


def reconstruction_psnr(codec: Codec, video_bthwc: Tensor) -> float:
    """Decibels of what is left of videos uint8 after encoding and decoding."""
    off = (codec.decode(codec.encode(video_bthwc)).double() - video_bthwc.double()) / 255
    return float(-10 * off.square().mean().log10())


def load_codec(kind: Literal["linear", "wan_vae"], folder: Path, device: torch.device) -> Codec:
    """A checkpoint of the codec stage, or Wan's VAE from a folder in diffusers' layout.

    Raises:
        InputError: the folder does not hold one.
    """
    if kind == "linear":
        return load_checkpoint(folder, "linear_codec", lambda config: LinearCodec(**config), device)
    # Here, since diffusers takes seconds to import, which most jobs would spend for nothing.
    from interdiff.video.wan_vae import load_wan_vae

    return load_wan_vae(folder, device)
