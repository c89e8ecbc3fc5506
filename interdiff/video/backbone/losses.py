"""What the backbone learns, and phase 1 of it: the velocity of frames.

B clips, C channels, T frames of which F are seen, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.draws import Stream
from interdiff.learning.processes import of_batch
from interdiff.video.backbone.flow_matching import drop_prompts, shifted, take_frames, velocity_loss
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import TrainingBatches


@dataclass(frozen=True)
class FlowBatch:
    """Frames z and noise [B, C, F, H, W], their levels [B, 1], prompts [B, L, D] and places in time [B, F]."""

    z: Tensor
    noise: Tensor
    sigma: Tensor
    embed: Tensor
    frames: Tensor


class Noising(Protocol):
    """How clips become noisy frames, of `BackboneSettings` and `AdaptedSettings`."""

    @property
    def frames(self) -> Sequence[int]: ...

    @property
    def frames_until(self) -> float: ...

    @property
    def shift(self) -> float: ...

    @property
    def drop_prompt(self) -> float: ...


@dataclass(frozen=True)
class RandomFrames:
    """Random frames of clips in the first part of training, all of them in the last.

    A few frames cost a fraction of all of them and teach the same about what is in a picture, where it moves and what prompts
    mean; the last part is the teacher's task.

    clips: batches of `latent` and `embed`; negative: [L, D], embedding that stands in for the prompts that are dropped.
    """

    clips: TrainingBatches
    negative: Tensor
    settings: Noising

    def draw(self, generator: torch.Generator, progress: float) -> FlowBatch:
        """Clips, frames, noise, dropped prompts and levels."""
        batch, settings = self.clips.batch(progress), self.settings
        z, embed = batch["latent"].float(), batch["embed"].float()
        count, frames, device = len(z), z.shape[2], z.device
        stream = of_batch(generator)
        known = [*settings.frames, frames] if progress < settings.frames_until else [frames]
        chosen = known[draws.integer(len(known), generator)]
        places = random_frames(count, frames, chosen, stream, device)
        z = take_frames(z, places)
        noise = draws.normal(z.shape, stream, device)
        embed = drop_prompts(embed, self.negative, settings.drop_prompt, stream)
        sigma = shifted(draws.uniform((count, 1), stream, device), settings.shift)
        return FlowBatch(z, noise, sigma, embed, places)


def random_frames(batch: int, frames: int, count: int, stream: Stream, device: torch.device) -> Tensor:
    """`count` of the frames 0..T-1 in order, the first, the last and others at random: [batch, count] int64.

    Both ends say how long the clip is.
    """
    order = draws.uniform((batch, frames - 2), stream, device).argsort(1)[:, : count - 2] + 1
    first = order.new_zeros(batch, 1)
    return torch.cat([first, order.sort(1).values, first + frames - 1], 1)


def flow_matching_loss(model: WanDenoiser, batch: FlowBatch) -> dict[str, Tensor]:
    """Mean squared error of the velocity (Lipman et al. 2023, equation 23, with the linear path)."""
    return {"loss": velocity_loss(model, batch.z, batch.noise, batch.sigma, batch.embed, batch.frames)}
