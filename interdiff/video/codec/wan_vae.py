"""Wan's VAE as a codec."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from interdiff.axes import rearrange
from interdiff.errors import InputError
from interdiff.video.codec.codec import latent_frames


class WanCodec(nn.Module):
    """Wan's VAE, with latents normalised by its own means and deviations: as shards hold them, and transformers see them.

    Its `encode` answers with the mean. Clips pass one by one; where it is tiled, pictures larger than a tile do so in parts,
    which takes less memory, more time, and leaves traces of their seams.
    """

    def __init__(self, vae: AutoencoderKLWan, tiled: bool) -> None:
        super().__init__()
        self.vae = vae
        vae.enable_slicing()
        if tiled:
            vae.enable_tiling()
        shape = (1, -1, 1, 1, 1)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(vae.config.latents_std).view(shape), persistent=False)

    @property
    def factor(self) -> int:
        return int(self.vae.config.scale_factor_spatial)

    @torch.no_grad()
    def encode(self, video_bthwc: Tensor) -> Tensor:
        latent_frames(video_bthwc.shape[1])
        video = rearrange(video_bthwc, "b t h w c -> b c t h w").to(self.vae.dtype) / 127.5 - 1
        z = self.vae.encode(video).latent_dist.mode().float()
        return (z - self.mean.to(z.device)) / self.std.to(z.device)

    @torch.no_grad()
    def decode(self, z_bcthw: Tensor) -> Tensor:
        # A pipeline moves its parts itself, and this wrapper is none of them.
        z = z_bcthw * self.std.to(z_bcthw.device) + self.mean.to(z_bcthw.device)
        video = self.vae.decode(z.to(self.vae.dtype)).sample
        video = ((video.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return rearrange(video, "b c t h w -> b t h w c")


def load_wan_vae(folder: Path, tiled: bool, device: torch.device) -> WanCodec:
    """A folder in diffusers' layout, safetensors only; in bf16 on a GPU.

    Raises:
        InputError: the folder does not hold one.
    """
    try:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        vae = AutoencoderKLWan.from_pretrained(folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a VAE in diffusers' layout ({error})") from error
    return WanCodec(vae, tiled).to(device).eval()
