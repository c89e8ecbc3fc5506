"""What a codec takes, from the size of its pictures. Orders of magnitude: they have not been measured."""

from __future__ import annotations

from interdiff.video.codec.settings import CodecKind, CodecUse

VAE_PARAMETERS = 126_892_531
VAE_BYTES_PER_PIXEL = 20_000
"""Of the widest layers at full size, while four frames pass through them."""
VAE_SECONDS_PER_PIXEL = {True: 3e-7, False: 3e-5}
"""Of one frame, either way; on a GPU, and not."""
TILE_PIXELS = 256 * 256
"""Of a picture's part where Wan's VAE is tiled."""
LINEAR_BYTES_PER_PIXEL = 1_000


def codec_bytes(codec: CodecUse, pixels: int, weight: int) -> int:
    """Bytes while it encodes or decodes clips one by one, of so many pixels a frame, given bytes per weight."""
    if codec.kind == "linear":
        return LINEAR_BYTES_PER_PIXEL * pixels
    pixels = min(pixels, TILE_PIXELS) if codec.tiled else pixels
    return weight * VAE_PARAMETERS + VAE_BYTES_PER_PIXEL * pixels * weight // 2


def codec_seconds(kind: CodecKind, pixels: int, frames: int, gpu: bool) -> float:
    """Of encoding or decoding one clip of so many frames."""
    return 0.02 if kind == "linear" else VAE_SECONDS_PER_PIXEL[gpu] * pixels * frames
