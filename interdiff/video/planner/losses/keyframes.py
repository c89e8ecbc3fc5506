"""What phase 1 learns: the velocity of K frames, by the backbone's loss.

B clips of N, T frames of which K are keyframes, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.draws import moved
from interdiff.learning.processes import of_batch, parts, share
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
        z, embed, rows = batch["latent"].float(), batch["embed"].float(), batch["row"]
        device, counts, stream = z.device, sorted(self.best), of_batch(generator)
        k = counts[draws.integer(len(counts), generator)]
        seed = draws.integer(2**31, generator)
        frames = moved(self._frames(k, rows, z.shape[2], np.random.default_rng(seed)), device)
        noise = batch["noise"].float() if "noise" in batch else draws.normal(z.shape, stream, device)
        embed = drop_prompts(embed, self.negative, settings.drop_prompt, stream)
        sigma = shifted(draws.uniform((len(z), 1), stream, device), settings.shift)
        return FlowBatch(take_frames(z, frames), take_frames(noise, frames), sigma, embed, frames)

    def _frames(self, k: int, rows: Tensor, frames: int, rng: np.random.Generator) -> Tensor:
        """Keyframes [B, K], each clip's by a policy of the mix."""
        policies, best = list(self.settings.mix), {k: self.best[k][rows].repeat_interleave(parts(), 0)}
        choices = torch.stack([policy_frames(policy, k, frames, best, rng) for policy in policies])
        weights = np.array([self.settings.mix[policy] for policy in policies])
        drawn = rng.choice(len(policies), len(best[k]), p=weights / weights.sum())
        return share(choices[torch.from_numpy(drawn), torch.arange(len(drawn), device="cpu")])[0]
