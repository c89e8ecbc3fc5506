"""The field's learned planners on our networks: full-sequence diffusion and the two levels of Hierarchical Diffuser.

Both plan once for the fixed horizon H of a layout: they arrive at step H, and the tracker holds the goal from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.learning.checkpoints import load_checkpoint
from interdiff.maze.baselines.settings import BaselinesSettings
from interdiff.maze.baselines.window_diffusion import SegmentDenoiser, WindowDenoiser, fill_segments, sample_windows
from interdiff.maze.planner.conditions import condition_of
from interdiff.maze.planner.networks import Condition
from interdiff.maze.world.layouts import OFFSET, Layout, nearest_in_size, number_for
from interdiff.maze.world.tracker import Reference
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.interpolation import interpolate, place_keyframes
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler

Steps = int | Mapping[str, int]
SDF_RESOLUTION = 1
"""Conditions carry a distance field, which these networks do not read."""


def trained_layout(model: WindowDenoiser, layout: Layout) -> str:
    """The trained layout whose horizon and steps a plan uses: itself, else the one nearest in number of free cells."""
    if layout.name in model.horizons:
        return layout.name
    return nearest_in_size(len(layout.free_cells), {name: model.free_cells[name] for name in model.horizons})


def sampled(
    model: WindowDenoiser,
    scheduler: DDIM,
    steps: Steps,
    layout: Layout,
    states: np.ndarray,
    goals: np.ndarray,
    generator: torch.Generator,
) -> tuple[Condition, Tensor]:
    """Windows [N, K, 4] of world states from states [N, 4] to goals [N, 2] in joint coordinates, and their condition."""
    own = trained_layout(model, layout)
    device = next(model.parameters()).device
    condition = condition_of(layout, states, goals, model.grid, SDF_RESOLUTION, device)
    return condition, sample_windows(
        model, scheduler, condition, own, number_for(steps, own, model.free_cells[own]), generator
    )


def references(world_btc: Tensor) -> list[Reference]:
    """World states at every step [N, H + 1, 4] -> references in joint coordinates, the first row the start."""
    world = world_btc.numpy(force=True).astype(np.float64)
    return [Reference(states[:, :2] - OFFSET, states[:, 2:]) for states in world]


@dataclass(frozen=True)
class FullSequencePlanner:
    """Diffusion over the whole window with start and goal inpainted (Diffuser), by deterministic sampling (DDIM).

    steps: denoising steps, one number or one per trained layout.
    """

    model: WindowDenoiser
    steps: Steps
    name: str = "full_sequence"
    scheduler: DDIM = field(default_factory=keyframe_scheduler)

    @property
    def parameters(self) -> int:
        return _parameters(self.model)

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References of H + 1 rows from states [N, 4] to goals [N, 2], in joint coordinates."""
        _, world = sampled(self.model, self.scheduler, self.steps, layout, states, goals, generator)
        return references(_every_step(world, self.model.interval))


@dataclass(frozen=True)
class HierarchicalPlanner:
    """Sub-goals at uniform steps by diffusion, then all segments between them in one batch (Hierarchical Diffuser).

    steps: denoising steps of the sub-goals, one number or one per trained layout; fill_steps: of the segments.
    """

    subgoals: WindowDenoiser
    segments: SegmentDenoiser
    steps: Steps
    fill_steps: int
    name: str = "hierarchical"
    scheduler: DDIM = field(default_factory=keyframe_scheduler)

    def __post_init__(self) -> None:
        for key in ("interval", "grid"):
            high, low = getattr(self.subgoals, key), getattr(self.segments, key)
            if high != low:
                raise InputError(f"{key}: {high} of the sub-goals' network, {low} of the segments'; expected one")

    @property
    def parameters(self) -> int:
        return _parameters(self.subgoals) + _parameters(self.segments)

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References of H + 1 rows from states [N, 4] to goals [N, 2], in joint coordinates."""
        condition, world = sampled(self.subgoals, self.scheduler, self.steps, layout, states, goals, generator)
        return references(fill_segments(self.segments, self.scheduler, condition, world, self.fill_steps, generator))


def load_windows(folder: Path, device: torch.device) -> WindowDenoiser:
    """A checkpoint of the window_diffusion stage."""
    return load_checkpoint(folder, "window_diffusion", lambda config: WindowDenoiser(**config), device)


def load_segments(folder: Path, device: torch.device) -> SegmentDenoiser:
    """A checkpoint of the segment_fill stage."""
    return load_checkpoint(folder, "segment_fill", lambda config: SegmentDenoiser(**config), device)


def load_baselines(settings: BaselinesSettings, folder: Callable[[str], Path], device: torch.device) -> list[Any]:
    """All learned baselines, from the folders that `folder` gives for full_sequence, few_steps, subgoals and segments."""
    subgoals, segments = load_windows(folder("subgoals"), device), load_segments(folder("segments"), device)
    low = settings.hierarchical
    return [
        FullSequencePlanner(load_windows(folder("full_sequence"), device), settings.full_sequence.steps),
        FullSequencePlanner(
            load_windows(folder("few_steps"), device), settings.few_steps.steps, name="full_sequence_few_steps"
        ),
        HierarchicalPlanner(subgoals, segments, low.steps, low.fill_steps),
    ]


def _every_step(world_bkc: Tensor, interval: int) -> Tensor:
    """Linear between every `interval` steps, velocities too: [B, K, 4] -> [B, (K - 1) * interval + 1, 4]."""
    batch, count, _ = world_bkc.shape
    frames = (count - 1) * interval + 1
    indices = torch.arange(0, frames, interval, device=world_bkc.device).expand(batch, -1)
    return interpolate(*place_keyframes(world_bkc, indices, frames))


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
