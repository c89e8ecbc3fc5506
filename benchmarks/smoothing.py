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

from benchmarks.directions import CPU, answers, encoded
from interdiff.learning import draws
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.video.backbone.backbone import fit_covariance, load_backbone
from interdiff.video.backbone.flow_matching import noisy
from interdiff.video.backbone.smoothing import Smoothing
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecSettings
from interdiff.video.data.scenes import split_scene
from interdiff.video.data.settings import TextSettings
from interdiff.video.data.text import load_text_encoder

LAPTOP, FITTED, BATCH = Path("pretrained/laptop"), 200, 8
ERRORS, LEVELS = (0.0, 0.2, 0.35, 0.5), (0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1)


def unsteadiness(z: Tensor) -> float:
    """Root mean square of second differences over time."""
    return z.diff(n=2, dim=2).square().mean().sqrt().item()


@torch.no_grad()
def guesses(model: WanDenoiser, z: Tensor, embed: Tensor, level: float) -> tuple[float, Tensor]:
    """Mean squared error of the velocity, and the guess of clean latents."""
    noise = draws.normal(z.shape, draws.generator_of(1), CPU)
    sigma, frames = torch.full((len(z), 1), level), torch.arange(z.shape[2]).expand(len(z), -1)
    at = noisy(z, noise, sigma)
    said = answers(model, at, sigma, embed, frames, batch=BATCH)
    return (said - (noise - z)).square().mean().item(), at - level * said


def main() -> None:
    """Prints a line for each error."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else LAPTOP
    frames, clips = (int(number) for number in sys.argv[2:4]) if len(sys.argv) > 2 else (81, 64)
    codec = load_codec(CodecSettings(folder=str(LAPTOP / "codec")), LAPTOP / "codec", CPU)
    model = load_backbone([folder / CONFIG, folder / MODEL], CPU).float().eval()
    weights = fit_covariance(encoded(codec, [split_scene(0, "train", n) for n in range(FITTED)], frames))
    scenes = [split_scene(0, "val", n) for n in range(clips)]
    z = encoded(codec, scenes, frames)
    embed = load_text_encoder(TextSettings(sentences=True, rows=8), CPU)([scene.prompt for scene in scenes])
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
