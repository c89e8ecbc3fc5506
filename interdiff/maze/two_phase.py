"""Our planner on the clock: two-phase plans from conditions alone, timed to the motors' limits, the best of a few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from interdiff.maze.data import Prepared
from interdiff.maze.layouts import OFFSET, Layout, occupancy, signed_distance
from interdiff.maze.metrics import crossed
from interdiff.maze.plans import Planner
from interdiff.maze.retiming import retimed
from interdiff.maze.rollouts import Reference
from interdiff.maze.simulator import MAX_SPEED, TIMESTEP


class Settings(Protocol):
    """The timing section of the config; see there."""

    candidates: int
    retime: bool
    effort: float
    smoothing: float
    clearance: float


@dataclass(frozen=True)
class TwoPhasePlanner:
    """Phase 1, interpolation and phase 2 for a few draws of noise; of these the fastest one that keeps clear of walls.

    prepared: data that the networks were trained on, for the size of its sequences and maps.
    """

    planner: Planner
    prepared: Prepared
    settings: Settings
    name: str

    @property
    def parameters(self) -> int:
        phase1 = self.planner.phase1
        networks = (phase1.segment_cost, phase1.selector, phase1.keypoints, self.planner.refiner)
        return sum(parameter.numel() for network in networks for parameter in network.parameters())

    def evaluations(self, layout: Layout) -> int:
        """Tokens through all networks for one plan: the indices are chosen once for all candidates."""
        planner, frames = self.planner, self.prepared.frames
        levels, per_token = len(planner.levels()), planner.phase1.segment_cost.size["frames_per_token"]
        shared = (1 + levels) * frames // per_token
        phase2 = levels * frames // planner.refiner.frames_per_token
        phase1 = planner.settings.k * planner.settings.keypoint_steps
        return shared + self.settings.candidates * (phase1 + phase2)

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References from states [N, 4] to goals [N, 2], in joint coordinates."""
        one = self._conditions(layout, states, goals)
        copies = torch.arange(len(states)).repeat_interleave(self.settings.candidates).to(one.device)
        many = one.subset(copies)
        indices, ranks = (x[copies] for x in self.planner.keyframes(one, None, np.random.default_rng(0)))
        plans = self.planner.plan(many, many.all_rows, indices, ranks, generator, oracle=False)
        paths = plans.refined.numpy(force=True).astype(np.float64).reshape(len(states), self.settings.candidates, -1, 4)
        return [self._best(layout, state, candidates) for state, candidates in zip(states, paths, strict=True)]

    def _conditions(self, layout: Layout, states: np.ndarray, goals: np.ndarray) -> Prepared:
        grid, like = self.prepared.cells, self.prepared
        resolution = like.sdf.shape[-1] // grid
        start = np.concatenate([(states[:, :2] + OFFSET) / grid, states[:, 2:]], axis=1)
        values = {
            "states": np.zeros((len(states), like.frames, 4)),
            "start": start,
            "goal": (goals + OFFSET) / grid,
            "occupancy": occupancy(layout, grid)[None],
            "sdf": signed_distance(layout, grid, resolution)[None],
        }
        tensors = {name: torch.as_tensor(value, dtype=torch.float32).to(like.device) for name, value in values.items()}
        return replace(like, layouts=[layout.name], layout=torch.zeros(len(states), dtype=torch.int64), **tensors)

    def _best(self, layout: Layout, state: np.ndarray, candidates: np.ndarray) -> Reference:
        """The candidate [C, T, 4] with the least time, each lacking unit of clearance counting as ten seconds."""
        grid, resolution = self.prepared.cells, self.prepared.sdf.shape[-1] // self.prepared.cells
        walls = crossed(candidates[..., :2], occupancy(layout, grid))
        distance = signed_distance(layout, grid, resolution)
        references = [self._timed(path, state, grid) for path in candidates]
        costs = []
        for reference, is_crossed in zip(references, walls, strict=True):
            at = (reference.positions + OFFSET).T * resolution - 0.5
            clearance = map_coordinates(distance, at, order=1, mode="nearest").min()
            lacking = max(0.0, self.settings.clearance - clearance)
            costs.append(len(reference.positions) * TIMESTEP + 10 * lacking + 10 * is_crossed)
        return references[int(np.argmin(costs))]

    def _timed(self, path: np.ndarray, state: np.ndarray, grid: int) -> Reference:
        positions = path[:, :2] * grid - OFFSET
        if self.settings.retime:
            return retimed(positions, state[2:], self.settings.effort, self.settings.smoothing)
        # The demonstrations' own pace: the plan's fastest moment is at the speed limit, as theirs is.
        slopes = path[:, 2:] * grid
        duration = np.abs(slopes).max() / MAX_SPEED
        at = np.linspace(0, 1, max(2, round(duration / TIMESTEP) + 1))
        tau = np.linspace(0, 1, len(path))
        sampled = [np.stack([np.interp(at, tau, x) for x in y.T], axis=1) for y in (positions, slopes / duration)]
        return Reference(*sampled)
