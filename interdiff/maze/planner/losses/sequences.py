"""What the control without phases learns: clean sequences, off the walls, from noisy ones.

B samples, T frames, C = 4 channels (position and velocity).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.learning.processes import share
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import known_entries
from interdiff.maze.planner.kinds.full_sequence import SequenceDenoiser
from interdiff.maze.planner.losses.refiner import with_penetration
from interdiff.maze.planner.networks import Condition, from_network, to_network
from interdiff.maze.planner.settings import SequenceDiffusionSettings
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import noisy_keyframes


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences [B, T, C] in network units, clean and noisy at levels [B], with what the condition gives, bool."""

    clean: Tensor
    noisy: Tensor
    level: Tensor
    known: Tensor
    condition: Condition
    collision_weight: float
    collision_margin: float


@dataclass(frozen=True)
class NoisySequences:
    """Sequences of training data at random noise levels."""

    data: Prepared
    settings: SequenceDiffusionSettings
    scheduler: DDIM

    def draw(self, generator: torch.Generator, progress: float) -> SequenceBatch:
        """Rows, noise levels and noise."""
        data, settings = self.data, self.settings
        rows = data.random_rows(settings.training.batch_size, generator)
        clean = to_network(data.states[rows])
        _, known = known_entries(data.start[rows], data.goal[rows], data.frames)
        noisy, level = noisy_keyframes(self.scheduler, clean, known, generator)
        rows, clean, known, noisy, level = share(rows, clean, known, noisy, level)
        condition = data.condition(rows, data.groups(settings.training.batch_size))
        walls = settings.collision_weight, settings.collision_margin
        return SequenceBatch(clean, noisy, level, known, condition, *walls)


def sequence_loss(model: SequenceDenoiser, batch: SequenceBatch) -> dict[str, Tensor]:
    """Squared error of the predicted clean sequence (Ho et al. 2020, equation 14, of the sample) plus phase 2's penalty on
    points near walls, weighed as there."""
    predicted = model(batch.noisy, batch.level, batch.known, batch.condition)
    error = torch.where(batch.known, 0.0, (predicted - batch.clean) ** 2)
    return with_penetration(error, from_network(predicted), batch)
