"""What the learned baselines learn: clean states of windows, and of what lies between two states.

Their tokens are keyframes to the network: B samples, K tokens, C = 4 channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.networks import constant
from interdiff.learning.processes import share
from interdiff.maze.baselines.window_diffusion import (
    SegmentDenoiser,
    WindowDenoiser,
    held_entries,
    no_difficulty,
    segment_condition,
    segment_ends,
    states_at,
    world_states,
)
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.losses.keyframes import KeyframeBatch, keyframe_loss
from interdiff.maze.planner.networks import to_network
from interdiff.maze.world.simulator import TIMESTEP
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import noisy_keyframes


@dataclass(frozen=True)
class Windows:
    """Windows of training data for diffusion over equally spaced states, every layout's in turn (their numbers differ)."""

    data: Prepared
    model: WindowDenoiser
    batch_size: int
    scheduler: DDIM

    def draw(self, generator: torch.Generator, progress: float) -> list[KeyframeBatch]:
        """A batch of each layout."""
        drawn = self.data.random_rows(self.batch_size, generator).chunk(self.data.groups(self.batch_size))
        return [self._of(int(self.data.layout[rows[0]]), rows, generator) for rows in drawn]

    def _of(self, layout: int, rows: Tensor, generator: torch.Generator) -> KeyframeBatch:
        data, model, name = self.data, self.model, self.data.layouts[layout]
        times = model.times(name) / (model.frames - 1) * (data.frames - 1)
        clean = to_network(states_at(data.states[rows], times.expand(len(rows), -1)))
        known = held_entries(data.condition(rows, 1), clean.shape[1], model.horizons[name] * TIMESTEP)[1]
        noisy, level = noisy_keyframes(self.scheduler, clean, known, generator)
        rows, clean, known, noisy, level = share(rows, clean, known, noisy, level)
        indices = model.times(name).expand(len(rows), -1)
        return KeyframeBatch(clean, noisy, level, indices, no_difficulty(clean), known, data.condition(rows, 1))


def window_loss(network: WindowDenoiser, batches: Sequence[KeyframeBatch]) -> dict[str, Tensor]:
    """Error of the predicted clean states, as of keyframes; the mean over layouts (Janner et al. 2022, section 3.2)."""
    parts = [keyframe_loss(network, batch) for batch in batches]
    return {key: torch.stack([part[key] for part in parts]).mean() for key in parts[0]}


@dataclass(frozen=True)
class BetweenStates:
    """The states between two of a window that are `interval` steps apart, at a random place in it."""

    data: Prepared
    horizons: Mapping[str, int]
    model: SegmentDenoiser
    batch_size: int
    scheduler: DDIM

    def draw(self, generator: torch.Generator, progress: float) -> KeyframeBatch:
        """Rows, places in their windows, noise levels and noise."""
        data, model = self.data, self.model
        horizons = tuple(float(self.horizons[name]) for name in data.layouts)
        steps_of_layout = constant(horizons, torch.float32, data.device)
        steps = torch.arange(model.frames, device=data.device)
        rows = data.random_rows(self.batch_size, generator)
        horizon = steps_of_layout[data.layout[rows]][:, None]
        first = draws.uniform((len(rows), 1), generator, data.device) * (horizon - model.interval)
        states = states_at(data.states[rows], (first + steps) / horizon * (data.frames - 1))
        world = world_states(states, model.grid, horizon[..., None] * TIMESTEP)
        clean = model.to_local(world)
        noisy, level = noisy_keyframes(self.scheduler, clean, segment_ends(clean), generator)
        rows, world, clean, noisy, level = share(rows, world, clean, noisy, level)
        condition = segment_condition(data.condition(rows, data.groups(self.batch_size)), world[:, 0], world[:, -1])
        indices, known = steps.expand(len(rows), -1), segment_ends(clean)
        return KeyframeBatch(clean, noisy, level, indices, no_difficulty(clean), known, condition)


segment_loss = keyframe_loss
"""Error of the predicted states between two given ones, as of keyframes (Chen et al. 2024, section 3.2)."""
