"""What a small backbone learns of the directions in its prompts: python -m benchmarks.directions STEPS

Trains backbones of the laptop's size on five frames of rendered clips. Prints by noise level the error of the velocity on
held-out clips, and by how much it grows when the prompt names the opposite direction for the first object, or is missing. Each
row adds one thing: coordinates beside rotary positions, latents that are whitened by half, a row of text for each sentence, and
a projection of text that begins with principal components. 300 steps of 24 clips take seven minutes a row on one core.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.wan import Unsaved
from interdiff.learning import draws
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.training import Objective, train
from interdiff.video.backbone.backbone import build_backbone, transformer_config, whiten_text
from interdiff.video.backbone.flow_matching import drop_prompts, noisy, shifted, take_frames
from interdiff.video.backbone.losses import FlowBatch, flow_matching_loss, random_frames
from interdiff.video.backbone.settings import TransformerSettings
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.codec.codec import Codec
from interdiff.video.codec.linear import LinearCodec, fit_linear_codec
from interdiff.video.data.scenes import Scene, render, split_scene
from interdiff.video.data.settings import TextSettings
from interdiff.video.data.text import TextEncoder, load_text_encoder

OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
LEVELS, FRAMES, SIDE, SEEN, BATCH, HELD_OUT, SHIFT = (0.97, 0.9, 0.8), 81, 32, 5, 24, 128, 3.0
PROMPTS = 1000
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    """What a backbone is built and trained with."""

    name: str
    coordinates: bool = True
    whitening: float = 0.5
    sentences: bool = True
    components: int | None = None

    @property
    def text(self) -> TextSettings:
        """Of whole sentences a few rows, of tokens dozens."""
        return TextSettings(sentences=self.sentences, rows=8 if self.sentences else 64)


ROWS = (
    Row("rotary positions, a row of text for each token", coordinates=False, whitening=1.0, sentences=False),
    Row("coordinates", whitening=1.0, sentences=False),
    Row("latents whitened by half", sentences=False),
    Row("a row of text for each sentence"),
    Row("32 components of text", components=32),
)


def turned(scene: Scene) -> str:
    """The prompt with the opposite direction for the first object."""
    first, *others = scene.movers
    return replace(scene, movers=(replace(first, direction=OPPOSITE[first.direction]), *others)).prompt


def encoded(codec: Codec, scenes: list[Scene], frames: int = FRAMES) -> Tensor:
    """Latents of scenes."""
    return torch.cat([codec.encode(torch.from_numpy(render(scene, frames, SIDE))[None]) for scene in scenes])


def answers(model: WanDenoiser, *inputs: Tensor, batch: int = 64) -> Tensor:
    """What a network says, a part of the clips at a time."""
    return torch.cat([model(*part) for part in zip(*(x.split(batch) for x in inputs), strict=True)])


def errors(model: WanDenoiser, z: Tensor, level: float, embed: Tensor) -> Tensor:
    """Mean squared error of the velocity of each clip, on frames and noise that are the same for all prompts."""
    generator = draws.generator_of(1)
    frames = random_frames(len(z), z.shape[2], SEEN, generator, CPU)
    seen, sigma = take_frames(z, frames), torch.full((len(z), 1), level)
    noise = draws.normal(seen.shape, generator, CPU)
    said = answers(model, noisy(seen, noise, sigma), sigma, embed, frames)
    return (said - (noise - seen)).square().mean((1, 2, 3, 4))


def trained(row: Row, codec: LinearCodec, encoder: TextEncoder, steps: int) -> WanDenoiser:
    """A backbone after so many steps."""
    negative = torch.zeros(row.text.rows, 384)
    torch.manual_seed(0)
    size = TransformerSettings(coordinates=row.coordinates)
    model = build_backbone(**transformer_config(size, negative.shape[-1]))
    if row.components:
        told = encoder([split_scene(0, "fitted", n).prompt for n in range(PROMPTS)]).flatten(0, 1)
        whiten_text(model, told[told.any(1)], row.components)
    settings = BlockwiseTrainingSettings(
        steps=steps, batch_size=BATCH, learning_rate=0.002, muon_learning_rate=0.01, warmup_steps=50, ema_decay=0.0
    )

    def draw(generator: torch.Generator, done: float) -> FlowBatch:
        first = round(done * steps) * BATCH
        scenes = [split_scene(0, "train", first + n) for n in range(BATCH)]
        z = encoded(codec, scenes)
        frames = random_frames(BATCH, z.shape[2], SEEN, generator, CPU)
        z, sigma = take_frames(z, frames), shifted(draws.uniform((BATCH, 1), generator, CPU), SHIFT)
        noise = draws.normal(z.shape, generator, CPU)
        embed = drop_prompts(encoder([scene.prompt for scene in scenes]), negative, 0.1, generator)
        return FlowBatch(z, noise, sigma, embed, frames)

    return train(model, Objective(draw, flow_matching_loss), settings, Unsaved(), CPU, lambda row: None, iter)[0]


def main() -> None:
    """Prints a line for each row and noise level."""
    steps = int(sys.argv[1])
    fitted = [torch.from_numpy(render(split_scene(0, "train", n), FRAMES, SIDE))[None] for n in range(100)]
    held_out = [split_scene(0, "val", n) for n in range(HELD_OUT)]
    prompts = [[scene.prompt for scene in held_out], [turned(scene) for scene in held_out], [""] * HELD_OUT]
    for row in ROWS:
        codec, encoder = fit_linear_codec(fitted, 4, row.whitening), load_text_encoder(row.text, CPU)
        model, z = trained(row, codec, encoder, steps), encoded(codec, held_out)
        right, wrong, none = (encoder(texts) for texts in prompts)
        for level in LEVELS:
            with torch.no_grad():
                error, other, bare = (errors(model, z, level, embed) for embed in (right, wrong, none))
            gain = other - error
            spread = gain.std() / HELD_OUT**0.5
            print(
                f"{row.name}: level {level}: error {error.mean():.4f}, opposite direction {gain.mean():+.4f} ± {spread:.4f},"
                f" no prompt {(bare - error).mean():+.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
