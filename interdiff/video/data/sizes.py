"""Shapes of clips and of their text encoder, and what they take, from the settings alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interdiff.video.data.settings import DataSettings

CHANNELS, FRAMES_PER_LATENT = 16, 4
WAN_FACTOR = 8
HUB_PIXELS, HUB_CLIPS = (480, 832), 256
"""Height, width, and clips of a shard, of the public set; shards of one's own, unknown here, count as such."""
MINILM: dict[str, Any] = {"d_model": 384}
UMT5_XXL: dict[str, Any] = {
    "d_model": 4096,
    "num_layers": 24,
    "num_heads": 64,
    "d_kv": 64,
    "d_ff": 10240,
    "vocab_size": 256384,
}
"""Wan's text encoder."""


@dataclass(frozen=True)
class Clip:
    """A clip's latents [C, T, H, W] and the embedding [L, D] of its prompt, of `pixels` per frame."""

    channels: int
    frames: int
    height: int
    width: int
    rows: int
    text_dim: int
    pixels: int

    @property
    def latents(self) -> int:
        """Numbers."""
        return self.channels * self.frames * self.height * self.width

    @property
    def embedding(self) -> int:
        """Numbers."""
        return self.rows * self.text_dim

    @property
    def stored(self) -> int:
        """Bytes in a shard: bf16."""
        return 2 * (self.latents + self.embedding)

    @property
    def video(self) -> int:
        """Bytes of its frames: three colours of a byte each."""
        return 3 * self.pixels * (1 + FRAMES_PER_LATENT * (self.frames - 1))


def clip_of(data: DataSettings, encoder: Mapping[str, Any]) -> Clip:
    """The shape of clips, given their text encoder's configuration."""
    height, width = {
        "clips": (data.clips.side,) * 2,
        "hub": HUB_PIXELS,
        "lsmdc": data.lsmdc.size,
        "folder": data.folder.size,
        "shards": HUB_PIXELS,
    }[data.source]
    factor = data.codec.factor if data.codec.kind == "linear" else WAN_FACTOR
    return Clip(
        channels=CHANNELS,
        frames=1 + (data.clips.frames - 1) // FRAMES_PER_LATENT,
        height=height // factor,
        width=width // factor,
        rows=data.text.rows,
        text_dim=encoder.get("d_model", encoder.get("hidden_size")),
        pixels=height * width,
    )


def clips_per_shard(data: DataSettings) -> int:
    """Clips of a shard, at most."""
    return {"clips": data.clips.per_shard, "hub": HUB_CLIPS, "lsmdc": data.lsmdc.per_shard}.get(data.source, HUB_CLIPS)


def encoder_bytes(config: Mapping[str, Any]) -> int:
    """Bytes of a text encoder's weights: UMT5's in bf16; others are small."""
    if "d_ff" not in config:
        return 100 * 10**6
    width, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    block = 4 * width * inner + 3 * width * config["d_ff"] + 2 * width + 32 * config["num_heads"]
    return 2 * (config["vocab_size"] * width + config["num_layers"] * block + width)


def attention_bytes(config: Mapping[str, Any], rows: int, prompts: int) -> int:
    """Bytes of the scores of a text encoder's attention, in fp32, and their softmax."""
    return 2 * 4 * prompts * config.get("num_heads", 12) * rows**2
