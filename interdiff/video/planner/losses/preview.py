"""What the preview learns: a look by the whole backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from interdiff.learning.processes import own_draws
from interdiff.learning.training import Loss
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.preview import Preview


def preview_loss(clips: TrainingClips, whole: Preview, shape: Sequence[int]) -> Loss:
    """Distillation: the squared distance from what a look by the whole backbone shows, of prompts and fresh noise.

    Args:
        clips: batches of `embed`.
        shape: of a clip, C, T, H, W.
    """

    def loss(model: Preview, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        embed = clips.batch(progress)["embed"].float()
        generator = own_draws(generator)
        noise = torch.randn((len(embed), *shape), generator=generator, device=generator.device)
        with torch.no_grad():
            target = whole(noise, embed)
        return {"loss": (model(noise, embed) - target).square().mean()}

    return loss
