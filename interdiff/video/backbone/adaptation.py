"""How the backbone learns to answer with sparse attention as it does with dense attention.

B clips, C channels, F frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.video.backbone.flow_matching import noisy
from interdiff.video.backbone.losses import FlowBatch, RandomFrames
from interdiff.video.backbone.wan import WanDenoiser


@dataclass(frozen=True)
class AnsweredBatch:
    """Noisy frames z [B, C, F, H, W], their levels [B, 1], prompts [B, L, D], places in time [B, F], and the velocity."""

    z: Tensor
    sigma: Tensor
    embed: Tensor
    frames: Tensor
    velocity: Tensor


@dataclass(frozen=True)
class Answers:
    """What a frozen network says of noisy frames."""

    noised: RandomFrames
    network: WanDenoiser

    @torch.no_grad()
    def draw(self, generator: torch.Generator, progress: float) -> AnsweredBatch:
        """Frames of clips, noised, and the network's velocity of them."""
        batch: FlowBatch = self.noised.draw(generator, progress)
        z = noisy(batch.z, batch.noise, batch.sigma)
        given = z, batch.sigma, batch.embed, batch.frames
        return AnsweredBatch(*given, self.network(*given))


def answer_loss(model: WanDenoiser, batch: AnsweredBatch) -> dict[str, Tensor]:
    """Mean squared error of the velocity, as the authors of SLA tune (TurboDiffusion): data are no target.

    error: relative to the frozen network's velocity.
    """
    wrong = (model(batch.z, batch.sigma, batch.embed, batch.frames) - batch.velocity).square().mean()
    return {"loss": wrong, "error": (wrong.detach() / batch.velocity.square().mean()).sqrt()}
