"""Codecs by their kind."""

from __future__ import annotations

from pathlib import Path

import torch

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.video.codec.codec import Codec
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.codec.settings import CodecUse


def load_codec(codec: CodecUse, folder: Path, device: torch.device) -> Codec:
    """A checkpoint of the codec stage, or Wan's VAE from a folder in diffusers' layout.

    Raises:
        InputError: the folder does not hold one.
    """
    if codec.kind == "linear":
        return load_checkpoint(folder, "linear_codec", lambda config: LinearCodec(**config), device)
    # Here, since diffusers takes seconds to import, which most jobs would spend for nothing.
    from interdiff.video.codec.wan_vae import load_wan_vae

    return load_wan_vae(folder, codec.tiled, device)
