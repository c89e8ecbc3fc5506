"""What the learned baselines learn: clean states of windows, and of what lies between two states."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from interdiff.learning.processes import share
from interdiff.learning.training import Loss
from interdiff.maze.baselines.settings import SegmentFillSettings, WindowDiffusionSettings
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
from interdiff.maze.planner.losses.keyframes import prediction_error
from interdiff.maze.planner.networks import to_network
from interdiff.maze.world.simulator import TIMESTEP
from interdiff.two_phase.keyframe_diffusion import noisy_keyframes


def window_loss(
    data: Prepared, model: WindowDenoiser, settings: WindowDiffusionSettings, scheduler: DDIMScheduler
) -> Loss:
    """Error of the predicted clean states, every layout's windows in turn (their numbers of tokens differ)."""
    times = [model.times(name) / (model.frames - 1) * (data.frames - 1) for name in data.layouts]

    def loss(network: nn.Module, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        drawn = data.random_rows(settings.training.batch_size, generator).chunk(len(data.layouts))
        parts = []
        for layout, rows in enumerate(drawn):
            name = data.layouts[layout]
            clean = to_network(states_at(data.states[rows], times[layout].expand(len(rows), -1)))
            known = held_entries(data.condition(rows), clean.shape[1], model.horizons[name] * TIMESTEP)[1]
            noisy, level = noisy_keyframes(scheduler, clean, known, generator)
            rows, clean, known, noisy, level = share(rows, clean, known, noisy, level)
            indices, hardness = model.times(name).expand(len(rows), -1), no_difficulty(clean)
            predicted = network(noisy, level, indices, hardness, known, data.condition(rows))
            parts.append(prediction_error(predicted, clean, known))
        return {key: torch.stack([part[key] for part in parts]).mean() for key in parts[0]}

    return loss


def segment_loss(
    data: Prepared,
    horizons: Mapping[str, int],
    model: SegmentDenoiser,
    settings: SegmentFillSettings,
    scheduler: DDIMScheduler,
) -> Loss:
    """Error of the predicted states between two of a window that are `interval` steps apart, at a random place in it."""
    steps_of_layout = torch.tensor([float(horizons[name]) for name in data.layouts], device=data.device)
    steps = torch.arange(model.frames, device=data.device)

    def loss(network: nn.Module, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        rows = data.random_rows(settings.training.batch_size, generator)
        horizon = steps_of_layout[data.layout[rows]][:, None]
        first = torch.rand(len(rows), 1, generator=generator, device=data.device) * (horizon - model.interval)
        states = states_at(data.states[rows], (first + steps) / horizon * (data.frames - 1))
        world = world_states(states, model.grid, horizon[..., None] * TIMESTEP)
        clean = model.to_local(world)
        noisy, level = noisy_keyframes(scheduler, clean, segment_ends(clean), generator)
        rows, world, clean, noisy, level = share(rows, world, clean, noisy, level)
        maps, known = data.condition(rows), segment_ends(clean)
        condition = segment_condition(maps, world[:, 0], world[:, -1])
        predicted = network(noisy, level, steps.expand(len(rows), -1), no_difficulty(clean), known, condition)
        return prediction_error(predicted, clean, known)

    return loss
