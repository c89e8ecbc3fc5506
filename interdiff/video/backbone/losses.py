"""What the backbone learns: the velocity of clips."""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.learning.processes import own_draws
from interdiff.learning.training import Loss
from interdiff.video.backbone.flow_matching import drop_prompts, shifted, take_frames, velocity_loss
from interdiff.video.backbone.settings import BackboneSettings
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import TrainingClips


def random_frames(batch: int, frames: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` of the frames 0..T-1 in order, at random: [batch, count] int64."""
    order = torch.rand((batch, frames), generator=generator, device=generator.device).argsort(1)
    return order[:, :count].sort(1).values


def backbone_loss(clips: TrainingClips, negative: Tensor, settings: BackboneSettings) -> Loss:
    """Flow matching on clips, of which the first part of training sees random frames only.

    A few frames cost a fraction of all of them and teach the same about what is in a picture, where it moves and what prompts
    mean; the last part is the teacher's task.

    Args:
        clips: batches of `latent` and `embed`.
        negative: [L, D], embedding that stands in for the prompts that are dropped.
    """

    def loss(model: WanDenoiser, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        batch = clips.batch(progress)
        generator = own_draws(generator)
        z, embed = batch["latent"].float(), batch["embed"].float()
        count, frames = len(z), z.shape[2]
        device = generator.device
        known = [*settings.frames, frames] if progress < settings.frames_until else [frames]
        chosen = known[int(torch.randint(len(known), (), generator=generator, device=device))]
        places = random_frames(count, frames, chosen, generator)
        z = take_frames(z, places)
        noise = torch.randn(z.shape, generator=generator, device=device)
        embed = drop_prompts(embed, negative, settings.drop_prompt, generator)
        sigma = shifted(torch.rand((count, 1), generator=generator, device=device), settings.shift)
        return {"loss": velocity_loss(model, z, noise, sigma, embed, places)}

    return loss
