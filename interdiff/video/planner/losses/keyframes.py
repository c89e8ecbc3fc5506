"""What phase 1 learns: the velocity of K frames, by the backbone's loss.

B clips of N, T frames of which K are keyframes, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.learning.processes import own_draws
from interdiff.video.backbone.flow_matching import drop_prompts, shifted, take_frames
from interdiff.video.backbone.losses import FlowBatch
from interdiff.video.data.batches import TrainingClips
from interdiff.video.planner.keyframes import policy_frames
from interdiff.video.planner.settings import KeyframesSettings


@dataclass(frozen=True)
class ChosenFrames:
    """K frames of each clip, over a mix of who chose them; every step draws one K.

    Where batches hold the noise that the backbone made their clips of, phase 1 learns the straight way from one to the other
    (reflow, Liu et al. 2023): few steps suffice, guidance is part of what is learned, and equal noise means equal clips.

    clips: batches of `latent`, `embed` and, if they are the backbone's, `noise`; best: K -> the oracle's keyframes [N, K];
    negative: [L, D], embedding that stands in for the prompts that are dropped.
    """

    clips: TrainingClips
    best: Mapping[int, Tensor]
    negative: Tensor
    settings: KeyframesSettings

    def draw(self, generator: torch.Generator, progress: float) -> FlowBatch:
        """Clips, K, who chose each clip's frames, noise where it is not known, dropped prompts and levels."""
        batch, settings = self.clips.batch(progress), self.settings
        generator = own_draws(generator)
        z, embed, rows = batch["latent"].float(), batch["embed"].float(), batch["row"].cpu()
        device, counts = generator.device, sorted(self.best)
        k = counts[int(torch.randint(len(counts), (), generator=generator, device=device))]
        seed = int(torch.randint(2**31, (), generator=generator, device=device))
        frames = self._frames(k, rows, z.shape[2], np.random.default_rng(seed)).to(device)
        noise = batch["noise"].float() if "noise" in batch else torch.randn(z.shape, generator=generator, device=device)
        embed = drop_prompts(embed, self.negative, settings.drop_prompt, generator)
        sigma = shifted(torch.rand((len(z), 1), generator=generator, device=device), settings.shift)
        return FlowBatch(take_frames(z, frames), take_frames(noise, frames), sigma, embed, frames)

    def _frames(self, k: int, rows: Tensor, frames: int, rng: np.random.Generator) -> Tensor:
        """Keyframes [B, K], each clip's by a policy of the mix."""
        policies, own = list(self.settings.mix), {k: self.best[k][rows]}
        choices = torch.stack([policy_frames(policy, k, frames, own, rng) for policy in policies])
        weights = torch.tensor([self.settings.mix[policy] for policy in policies])
        drawn = rng.choice(len(policies), len(rows), p=(weights / weights.sum()).double().numpy())
        return choices[torch.from_numpy(drawn), torch.arange(len(rows))]
