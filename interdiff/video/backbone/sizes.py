"""What a Wan transformer takes, from its shape alone: parameters, arithmetic, memory and time.

Counted where counting is possible, calibrated where it is not: on an H100 with Wan2.1-1.3B in bf16, uncompiled where
nothing else is said (`tests/unit/test_video_sizes.py` has the figures).

N tokens of all clips together, D channels, E hidden channels of feed-forward layers, L blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interdiff.video.backbone.settings import COORDINATES, TransformerSettings, TuningSettings
from interdiff.video.data.sizes import Clip

BF16, FP32 = 2, 4
LEARNING = 4 * FP32
"""Bytes of what learns beside its weights: gradient, moving average, and two moments of AdamW."""
SAVED = 4 * FP32
"""Bytes of what learns in the resumable state: weights, moving average and two moments."""
GPU_RATE = 700e12
"""Arithmetic per second of products on an H100."""
CPU_RATE = 20e9
"""The same of a few cores, with everything around."""
ELEMENTWISE, COMPILED = 1.62e-10, 0.78e-10
"""Seconds per token, channel and block of everything but products, plain and compiled."""
STEP = 1.2
"""What a pass of training takes, in forward passes."""


@dataclass(frozen=True)
class WanSize:
    """A Wan transformer over latents of C channels, told prompts of `text_dim` channels.

    weight: bytes of one; coordinates: further input channels.
    """

    layers: int
    heads: int
    head_dim: int
    ffn_dim: int
    patch: int
    text_dim: int
    channels: int
    frequencies: int
    weight: int
    coordinates: int = 0

    @property
    def width(self) -> int:
        """D."""
        return self.heads * self.head_dim

    @property
    def parameters(self) -> int:
        """All of them."""
        w, f, values = self.width, self.ffn_dim, self.channels * self.patch**2
        seen = values + self.coordinates * self.patch**2
        block = 8 * (w**2 + w) + 4 * w + 2 * w + (2 * w * f + f + w) + 6 * w
        time = self.frequencies * w + w + (w**2 + w) + (6 * w**2 + 6 * w)
        text = self.text_dim * w + w + (w**2 + w)
        return self.layers * block + time + text + (seen * w + w) + (values * w + values) + 2 * w

    def lora(self, rank: int) -> int:
        """Parameters of low-rank changes of the linear layers in all blocks."""
        return self.layers * rank * (8 * 2 * self.width + 2 * (self.width + self.ffn_dim))

    def learned(self, tuning: TuningSettings) -> int:
        """Parameters that learn."""
        return self.lora(tuning.rank) if tuning.kind == "lora" else self.parameters

    def tokens(self, clip: Clip, frames: int) -> int:
        """N of so many frames of a clip."""
        return frames * (clip.height // self.patch) * (clip.width // self.patch)

    def flops(self, clip: Clip, frames: int) -> int:
        """Products of one pass over so many frames of one clip, with one noise level."""
        n, w, text, values = self.tokens(clip, frames), self.width, clip.rows, self.channels * self.patch**2
        attention = 8 * n * w**2 + 4 * n**2 * w + 4 * n * w**2 + 4 * text * w**2 + 4 * n * text * w
        seen = values + self.coordinates * self.patch**2
        ends = 2 * n * (seen + values) * w + 2 * text * (self.text_dim * w + w**2)
        return self.layers * (attention + 4 * n * w * self.ffn_dim) + ends + 2 * (self.frequencies * w + 7 * w**2)

    def seconds(self, clip: Clip, frames: int, compiled: bool, gpu: bool) -> float:
        """Of one pass over so many frames of one clip."""
        if not gpu:
            return self.flops(clip, frames) / CPU_RATE
        rest = (COMPILED if compiled else ELEMENTWISE) * self.tokens(clip, frames) * self.layers * self.width
        return self.flops(clip, frames) / GPU_RATE + rest

    def step_seconds(self, clip: Clip, frames: int, checkpointing: bool, compiled: bool, gpu: bool) -> float:
        """Of one clip in a training step: forwards, backwards in twice that, and forwards again with checkpoints."""
        return STEP * (4 if checkpointing else 3) * self.seconds(clip, frames, compiled, gpu)

    def held(self) -> int:
        """Bytes of the weights."""
        return self.weight * self.parameters

    def sampling(self, tokens: int) -> int:
        """Bytes of the activations of a pass that keeps nothing, at its peak in one block."""
        return tokens * self._block()

    def _block(self) -> int:
        """Bytes per token that a block keeps for its backward pass; what it has at once in a forward pass is no more."""
        return 24 * self.width + 4 * self.ffn_dim

    def activations(self, tokens: int, tuning: TuningSettings) -> int:
        """Bytes of activations in a training step: of every block, or with checkpoints of one, and what enters the others.

        The products of low-rank changes are in fp32, and with them the hidden channels of feed-forward layers.
        """
        low_rank = tuning.kind == "lora"
        block = self._block() + (FP32 * self.ffn_dim if low_rank else 0)
        backwards = 9 * self.ffn_dim if low_rank else 0
        kept = BF16 * self.width * self.layers + block if tuning.gradient_checkpointing else block * self.layers
        return tokens * (kept + backwards)

    def training(self, tokens: int, tuning: TuningSettings, shares: int = 1, answers: bool = False) -> int:
        """Bytes of a training step in bf16; of several processes each holds a share of what has the weights' shapes.

        A loaded network is held twice for a moment, as it was and as it learns; where it answers, it stays as it was, too.
        """
        learned = self.learned(tuning)
        full = tuning.kind == "full"
        weights = FP32 * self.parameters if full else self.held() + FP32 * learned
        # What autocast casts weights to lasts until the end of the pass.
        cast = BF16 * self.parameters if full else 0
        gathered = 2 * (weights + cast) // self.layers if shares > 1 else 0
        step = (weights + cast + LEARNING * learned) // shares + gathered + self.activations(tokens, tuning)
        beside = self.held() + self.sampling(tokens) if answers else 0
        return max(step + beside, self.held() + weights)

    def state(self, tuning: TuningSettings) -> int:
        """Bytes of the resumable state."""
        return SAVED * self.learned(tuning)


def of_settings(settings: TransformerSettings, clip: Clip, pretrained: bool) -> WanSize:
    """The size of a transformer by its settings: one that is trained here, in fp32, or a published one, in bf16."""
    return WanSize(
        layers=settings.num_layers,
        heads=settings.num_attention_heads,
        head_dim=settings.attention_head_dim,
        ffn_dim=settings.ffn_dim,
        patch=settings.patch,
        text_dim=clip.text_dim,
        channels=clip.channels,
        frequencies=256 if pretrained else 128,
        weight=BF16 if pretrained else FP32,
        coordinates=COORDINATES if settings.coordinates else 0,
    )


def published(config: Mapping[str, Any]) -> WanSize:
    """The size of a transformer in diffusers' layout, by its config.json."""
    return _of_config(config, channels=config["in_channels"], frequencies=config["freq_dim"], weight=BF16)


def trained_here(config: Mapping[str, Any]) -> WanSize:
    """The size of a checkpoint of the backbone stage, by what `build_backbone` takes."""
    coordinates = COORDINATES if config["coordinates"] else 0
    return _of_config(config, channels=config["channels"], frequencies=128, weight=FP32, coordinates=coordinates)


def _of_config(config: Mapping[str, Any], **others: int) -> WanSize:
    return WanSize(
        layers=config["num_layers"],
        heads=config["num_attention_heads"],
        head_dim=config["attention_head_dim"],
        ffn_dim=config["ffn_dim"],
        patch=config["patch_size"][1],
        text_dim=config["text_dim"],
        **others,
    )
