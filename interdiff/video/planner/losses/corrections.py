"""What phase 2's student learns from: clips, and where sampling starts from for them.

B clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from interdiff.learning import draws
from interdiff.learning.processes import of_batch
from interdiff.video.distillation.times import FilledBatch
from interdiff.video.planner.forcing import frame_levels
from interdiff.video.planner.losses.refiner import FillingClips
from interdiff.video.planner.refiner import unflat


@dataclass(frozen=True)
class Corrections(FillingClips):
    """Filled clips with a noise level for each frame: what its kind of anchor is trusted with, or what hides its error."""

    @torch.no_grad()
    def draw(self, generator: torch.Generator, progress: float) -> FilledBatch:
        """Clips, which of their anchors, errors, masks and noise."""
        stream = of_batch(generator)
        of = self.filled(progress, stream)
        level = frame_levels(of.deviation, of.mask, of.exact, self.settings.missing_levels)[..., 0]
        filled, z = (unflat(x, of.shape) for x in (of.filled, of.truth))
        frames = torch.arange(z.shape[2], device=z.device).expand(len(z), -1)
        return FilledBatch(z, draws.normal(z.shape, stream, z.device), level, of.embed, frames, filled)
