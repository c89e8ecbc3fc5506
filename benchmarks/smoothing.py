"""What smoothing over time does to a small backbone: python -m benchmarks.smoothing [FOLDER] [FRAMES CLIPS]

On held-out rendered clips (64 of 81 frames), for each error that a guess is smoothed for, by noise level: the mean squared
error of the velocity; the error of the guess of clean latents over the noise level; and the root mean square of second
differences over time, of the guess over that of the clip: 1 where it is as unsteady as the clip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.video.backbone.backbone import fit_covariance, load_backbone
from interdiff.video.backbone.flow_matching import noisy
from interdiff.video.backbone.smoothing import Smoothing
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.codec.codec import Codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecSettings
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.settings import TextSettings
from interdiff.video.data.text import load_text_encoder

LAPTOP, SIDE, FITTED, BATCH = Path("pretrained/laptop"), 32, 200, 8
ERRORS, LEVELS = (0.0, 0.2, 0.35, 0.5), (0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1)
CPU = torch.device("cpu")


def encoded(codec: Codec, split: str, clips: int, frames: int) -> tuple[Tensor, list[str]]:
    """Latents and prompts of a split's first scenes."""
    scenes = [split_scene(0, split, number) for number in range(clips)]
    pictures = (torch.from_numpy(render(scene, frames, SIDE))[None] for scene in scenes)
    return torch.cat([codec.encode(picture) for picture in pictures]), [scene.prompt for scene in scenes]


def unsteadiness(z: Tensor) -> float:
    """Root mean square of second differences over time."""
    return z.diff(n=2, dim=2).square().mean().sqrt().item()


@torch.no_grad()
def guesses(model: WanDenoiser, z: Tensor, embed: Tensor, level: float) -> tuple[float, Tensor]:
    """Mean squared error of the velocity, and the guess of clean latents."""
    noise = draws.normal(z.shape, draws.generator_of(1), CPU)
    sigma, frames = torch.full((len(z), 1), level), torch.arange(z.shape[2]).expand(len(z), -1)
    at = noisy(z, noise, sigma)
    said = torch.cat([model(*part) for part in zip(*(x.split(BATCH) for x in (at, sigma, embed, frames)), strict=True)])
    return (said - (noise - z)).square().mean().item(), at - level * said


def main() -> None:
    """Prints a line for each error."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else LAPTOP
    frames, clips = (int(number) for number in sys.argv[2:4]) if len(sys.argv) > 2 else (81, 64)
    codec = load_codec(CodecSettings(folder=str(LAPTOP / "codec")), LAPTOP / "codec", CPU)
    model = load_backbone([folder / CONFIG, folder / MODEL], CPU).float().eval()
    weights = fit_covariance(encoded(codec, "train", FITTED, frames)[0])
    z, prompts = encoded(codec, "val", clips, frames)
    embed = load_text_encoder(TextSettings(sentences=True, rows=8), CPU)(prompts)
    for error in ERRORS:
        model.smoothing = Smoothing(error, weights) if error else None
        for level in LEVELS:
            velocity, guess = guesses(model, z, embed, level)
            off = (guess - z).square().mean().sqrt().item() / level
            steady = unsteadiness(guess) / unsteadiness(z)
            print(
                f"error {error}, level {level}: velocity {velocity:.4f}, guess {off:.3f}, unsteadiness {steady:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
