"""What the preview learns: a look by the whole backbone.

B clips, C channels, T frames, H x W latents, L rows of text, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.processes import of_batch
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.preview import Preview


@dataclass(frozen=True)
class LookBatch:
    """Noise [B, C, T, H, W], prompts [B, L, D], and what the whole backbone makes of them."""

    noise: Tensor
    embed: Tensor
    target: Tensor


@dataclass(frozen=True)
class Looks:
    """Looks by the whole backbone at fresh noise.

    clips: batches of `embed`; shape: of a clip, C, T, H, W.
    """

    clips: TrainingClips
    whole: Preview
    shape: Sequence[int]

    @torch.no_grad()
    def draw(self, generator: torch.Generator, progress: float) -> LookBatch:
        """Clips and noise."""
        embed = self.clips.batch(progress)["embed"].float()
        noise = draws.normal((len(embed), *self.shape), of_batch(generator), embed.device)
        return LookBatch(noise, embed, self.whole(noise, embed))


def preview_loss(model: Preview, batch: LookBatch) -> dict[str, Tensor]:
    """Distillation by matched outputs (Hinton et al. 2015, section 2.1): squared distance from the whole backbone."""
    return {"loss": (model(batch.noise, batch.embed) - batch.target).square().mean()}
