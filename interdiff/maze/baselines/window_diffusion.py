"""The learned baselines' networks: diffusion over windows of fixed horizon at equally spaced steps, and over what is between.

With a small interval the first is full-sequence diffusion in Diffuser's manner (Janner et al. 2022), with 15 steps it is
the high level of Hierarchical Diffuser (Chen et al. 2024b), whose low level is the second. Both are phase 1's network on
other tokens, one model for all layouts, so that methods are compared and not networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.maze.planner.conditions import route_steps
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import KeyframeDenoiser, denoised, known_entries
from interdiff.maze.planner.networks import TOP_SPEED, Condition, from_network, to_network
from interdiff.maze.world.simulator import TIMESTEP
from interdiff.two_phase.ddim import DDIM


class WindowDenoiser(KeyframeDenoiser):
    """Denoises the states at every `interval` steps of a window.

    horizons: steps of each layout's windows, a multiple of the interval; free_cells: each layout's number of them; grid: G,
    the side of the padded maps.
    """

    def __init__(
        self,
        interval: int,
        horizons: Mapping[str, int],
        free_cells: Mapping[str, int],
        grid: int,
        d_model: int,
        **size: Any,
    ) -> None:
        super().__init__(max(horizons.values()) + 1, d_model, **size)
        for name, horizon in horizons.items():
            if horizon % interval:
                raise InputError(f"horizon of {name}: {horizon} steps are not a multiple of interval={interval}")
        self.interval, self.horizons, self.free_cells, self.grid = interval, dict(horizons), dict(free_cells), grid

    def tokens(self, layout: str) -> int:
        return self.horizons[layout] // self.interval + 1

    def times(self, layout: str) -> Tensor:
        """The tokens' times [1, K] in the network's frames: a window spans all of them, whatever its horizon."""
        device = self.head.weight.device
        return torch.linspace(0, self.frames - 1, self.tokens(layout), device=device)[None]


class SegmentDenoiser(KeyframeDenoiser):
    """Denoises the states at every step between two states that are `interval` steps apart."""

    def __init__(self, interval: int, grid: int, d_model: int, **size: Any) -> None:
        super().__init__(interval + 1, d_model, **size)
        self.interval, self.grid = interval, grid

    @property
    def seconds(self) -> float:
        return self.interval * TIMESTEP

    def to_local(self, states_bkc: Tensor) -> Tensor:
        """World positions and velocities [B, K, 4] -> displacements from the first and velocities, of spread about one."""
        positions, velocities = states_bkc.chunk(2, dim=-1)
        half_speed = TOP_SPEED / 2
        return torch.cat([(positions - positions[:, :1]) / self.seconds, velocities], dim=-1) / half_speed

    def from_local(self, z_bkc: Tensor, start_bc: Tensor) -> Tensor:
        """Inverse of `to_local`, given the first state [B, 4]."""
        displacements, velocities = (z_bkc * TOP_SPEED / 2).chunk(2, dim=-1)
        return torch.cat([start_bc[:, None, :2] + displacements * self.seconds, velocities], dim=-1)


def horizons_of(path: Path) -> dict[str, int]:
    """Steps of each layout's windows in a file of the prepare stage; InputError if its sequences differ in duration."""
    arrays = load_arrays(path, ("duration", "layout", "layouts"))
    horizons = {}
    for number, name in enumerate(arrays["layouts"]):
        steps = np.unique(np.round(arrays["duration"][arrays["layout"] == number] / TIMESTEP))
        if len(steps) != 1:
            raise InputError(
                f"{path}: sequences of {name} have {len(steps)} durations; expected windows (data.mode) of one"
            )
        horizons[str(name)] = int(steps[0])
    return horizons


def free_cells_of(data: Prepared) -> dict[str, int]:
    """Free cells of each layout by its name."""
    return {name: int((1 - walls).sum()) for name, walls in zip(data.layouts, data.occupancy, strict=True)}


def states_at(states_btc: Tensor, frames_bn: Tensor) -> Tensor:
    """States [B, T, C] at fractional frames [B, N], linear between: [B, N, C]."""
    before = frames_bn.long().clamp(0, states_btc.shape[1] - 2)
    weight = (frames_bn - before)[..., None]
    index = before[..., None].expand(-1, -1, states_btc.shape[-1])
    return (1 - weight) * states_btc.gather(1, index) + weight * states_btc.gather(1, index + 1)


def world_states(states: Tensor, grid: int, duration: float | Tensor) -> Tensor:
    """Normalised positions and d position / d tau [..., 4] -> world units and units/s."""
    positions, velocities = states.chunk(2, dim=-1)
    return torch.cat([positions * grid, velocities * grid / duration], dim=-1)


def held_entries(condition: Condition, tokens: int, duration: float) -> tuple[Tensor, Tensor]:
    """Inpainting: the start's state and the goal's position, [B, K, 4] in network units, and where they are, bool."""
    values, known = known_entries(condition.start, condition.goal, tokens)
    position, velocity = condition.start.chunk(2, dim=-1)
    values[:, 0] = to_network(torch.cat([position, velocity * duration / condition.cells], dim=-1))
    known[:, 0] = True
    return values, known


def segment_ends(z_bkc: Tensor) -> Tensor:
    """Where both end states are, bool [B, K, 4]: they are known."""
    known = torch.zeros_like(z_bkc, dtype=torch.bool)
    known[:, [0, -1]] = True
    return known


def no_difficulty(z_bkc: Tensor) -> Tensor:
    """Zeros [B, K - 1] in place of D_phi's difficulty, which the baselines do without."""
    return z_bkc.new_zeros(len(z_bkc), z_bkc.shape[1] - 1)


def segment_condition(maps: Condition, start: Tensor, end: Tensor) -> Condition:
    """The condition of segments between world states [B, 4], on the maps of another condition."""
    own = torch.cat([start[:, :2] / maps.cells, start[:, 2:]], dim=-1), end[:, :2] / maps.cells
    return Condition(maps.occupancy, maps.sdf, route_steps(maps.occupancy, *own), *own)


@torch.no_grad()
def sample_windows(
    model: WindowDenoiser,
    scheduler: DDIM,
    condition: Condition,
    layout: str,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """World states [B, K, 4] at every `interval` steps of windows of one trained layout's horizon."""
    duration = model.horizons[layout] * TIMESTEP
    values, known = held_entries(condition, model.tokens(layout), duration)
    indices = model.times(layout).expand(len(values), -1)
    z = denoised(model, scheduler, values, known, indices, no_difficulty(values), condition, steps, generator)
    return world_states(from_network(z), model.grid, duration)


@torch.no_grad()
def fill_segments(
    model: SegmentDenoiser,
    scheduler: DDIM,
    condition: Condition,
    subgoals_bkc: Tensor,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    """World states at all steps, [B, (K - 1) * interval + 1, 4], from those [B, K, 4] at every `interval` steps; one batch."""
    batch, count, _ = subgoals_bkc.shape
    start, end = subgoals_bkc[:, :-1].flatten(0, 1), subgoals_bkc[:, 1:].flatten(0, 1)
    ends = model.to_local(torch.stack([start, end], dim=1))
    values = torch.zeros(len(start), model.frames, ends.shape[-1], device=ends.device)
    values[:, [0, -1]] = ends
    indices = torch.arange(model.frames, device=ends.device).expand(len(values), -1)
    condition = segment_condition(condition, start, end)
    known, hardness = segment_ends(values), no_difficulty(values)
    z = denoised(model, scheduler, values, known, indices, hardness, condition, steps, generator)
    filled = model.from_local(z, start)[:, :-1].reshape(batch, (count - 1) * model.interval, -1)
    return torch.cat([filled, subgoals_bkc[:, -1:]], dim=1)
