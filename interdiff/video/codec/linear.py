"""The laptop's codec: principal components of blocks of pixels.

B videos, T frames, H x W pixels, h x w latents, f pixels per latent and axis.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from interdiff.axes import rearrange
from interdiff.video.codec.codec import CHANNELS, FRAMES_PER_LATENT, latent_frames, whole_blocks


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


def fit_linear_codec(videos: Iterable[Tensor], factor: int, whitening: float = 1.0) -> LinearCodec:
    """The 16 principal components of all blocks of videos [B, T, H, W, 3].

    whitening: latents are divided by their deviations to this power, and have a mean square of 1 over all components. At 1
    they vary alike, and whoever learns them spends as much on the finest component as on the first.
    """
    codec = LinearCodec(factor).double()
    count, total, outer = 0, torch.zeros_like(codec.mean), codec.mean.new_zeros(len(codec.mean), len(codec.mean))
    for video in videos:
        blocks = codec._blocks(video).flatten(0, -2)
        count, total, outer = count + len(blocks), total + blocks.sum(0), outer + blocks.T @ blocks
    codec.mean = total / count
    variances, directions = torch.linalg.eigh(outer / count - torch.outer(codec.mean, codec.mean))
    kept = directions[:, -CHANNELS:].flip(-1).T
    # The sign of a component is arbitrary: the same one on every machine.
    signs = kept.gather(1, kept.abs().argmax(1, keepdim=True)).sign()
    deviations = variances[-CHANNELS:].flip(-1).clamp_min(1e-12).sqrt()
    divisors = deviations**whitening
    codec.basis, codec.std = kept * signs, divisors * (deviations / divisors).square().mean().sqrt()
    return codec.float()
