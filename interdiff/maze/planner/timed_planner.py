"""A planner on the clock: plans from conditions alone, timed to the motors' limits, the best of a few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interdiff.learning.draws import moved
from interdiff.maze.planner.conditions import condition_of
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.kinds.loading import load_planner
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.plans import AnyPlanner
from interdiff.maze.planner.retiming import fastest_clear, timings
from interdiff.maze.planner.settings import Policy, SamplingSettings, TimedPlannerSettings
from interdiff.maze.world.layouts import OFFSET, Layout
from interdiff.maze.world.simulator import BALL_RADIUS, MAX_SPEED, TIMESTEP
from interdiff.maze.world.tracker import Reference

OTHER_POLICIES: tuple[Policy, ...] = ("uniform", "random")
"""Where the keyframes of a plan that is drawn anew come from: first the one, then always the other."""


@dataclass(frozen=True)
class TracedPlan:
    """A plan on its way, in joint coordinates: keyframes [K, 2], interpolated [T, 2], refined [T, 2], put on the clock.

    free: whether what is driven stays in free space.
    """

    keyframes: np.ndarray
    interpolated: np.ndarray
    refined: np.ndarray
    reference: Reference
    free: bool


@dataclass(frozen=True)
class TimedPlanner:
    """Plans of both phases, or of another planner, for a few draws of noise; of these the fastest that keeps clear of walls.

    Where none stays in free space, as many are drawn anew, up to the bound that the settings give: at other keyframes, since
    draws at the same ones fail alike.

    prepared: data that the networks were trained on, for the size of its sequences and maps.
    """

    planner: AnyPlanner
    prepared: Prepared
    settings: TimedPlannerSettings
    name: str

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for network in self.planner.networks for parameter in network.parameters())

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References from states [N, 4] to goals [N, 2], in joint coordinates."""
        return [traced.reference for traced in self.traced(layout, states, goals, generator)]

    def traced(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[TracedPlan]:
        """The same plans with what both phases made of them."""
        cells, device = self.prepared.cells, self.prepared.device
        condition = condition_of(layout, states, goals, cells, self.prepared.sdf.shape[-1] // cells, device)
        one = self._at(condition, layout)
        policies: list[Policy] = [self.planner.settings.policy, *OTHER_POLICIES]
        traced: dict[int, TracedPlan] = {}
        asked = list(range(len(states)))
        for number in range(1 + self.settings.redraws * self.planner.varies):
            part = one.subset(moved(torch.tensor(asked, device="cpu"), device))
            chooser = self.planner.by(policies[min(number, len(policies) - 1)])
            keyframes = chooser.keyframes(part, None, generator)
            drawn = self._drawn(part, states[asked], *keyframes, generator)
            for n, plan in zip(asked, drawn, strict=True):
                if plan.free or n not in traced:
                    traced[n] = plan
            asked = [n for n in asked if not traced[n].free]
            if not asked:
                break
        return [traced[n] for n in range(len(states))]

    def _drawn(
        self, one: Prepared, states: np.ndarray, indices: Tensor, ranks: Tensor, generator: torch.Generator
    ) -> list[TracedPlan]:
        """The best of a few candidates for each row, at keyframes [N, K] with masks nested as ranks [N, T] say."""
        count, cells = self.settings.candidates if self.planner.varies else 1, one.cells
        copies = one.all_rows.repeat_interleave(count)
        many = one.subset(copies)
        plans = self.planner.plan(many, many.all_rows, indices[copies], ranks[copies], generator, oracle=False)
        refined = plans.refined.numpy(force=True).astype(np.float64)
        maps = one.occupancy[0].numpy(force=True), one.sdf[0].numpy(force=True)
        drawn = []
        for n, state in enumerate(states):
            best, reference, free = self._best(*maps, state, refined[n * count : (n + 1) * count])
            keyframes, interpolated, path = (
                made[n * count + best, :, :2].numpy(force=True) * cells - OFFSET
                for made in (plans.keyframes, plans.interpolated, plans.refined)
            )
            drawn.append(TracedPlan(keyframes, interpolated, path, reference, free))
        return drawn

    def _at(self, condition: Condition, layout: Layout) -> Prepared:
        """Data of which only the condition is known."""
        like, count = self.prepared, len(condition.start)
        return replace(
            like,
            states=torch.zeros(count, like.frames, 4, device=like.device),
            start=condition.start,
            goal=condition.goal,
            layout=torch.zeros(count, dtype=torch.int64, device=like.device),
            occupancy=condition.occupancy,
            sdf=condition.sdf,
            steps=condition.steps.flatten(0, 1),
            ends=torch.arange(2 * count, device=like.device).view(count, 2),
            layouts=[layout.name],
        )

    def _best(
        self, walls: np.ndarray, distance: np.ndarray, state: np.ndarray, candidates: np.ndarray
    ) -> tuple[int, Reference, bool]:
        """The best of plans [C, T, 4] in normalised units, put on the clock, and whether it stays in free space."""
        cells, retiming = self.prepared.cells, self.settings.retiming
        if retiming is None:
            references = [_own_pace(plan, cells) for plan in candidates]
            best, free = fastest_clear(references, walls, distance, BALL_RADIUS)
            return best, references[best], free
        paths = candidates[..., :2] * cells - OFFSET
        references = [reference for path in paths for reference in timings(path, state[2:], retiming)]
        best, free = fastest_clear(references, walls, distance, retiming.clearance)
        return best // len(retiming.smoothings), references[best], free


def _own_pace(plan: np.ndarray, cells: int) -> Reference:
    """A plan [T, 4] at the demonstrations' pace: its fastest moment is at the speed limit, as theirs is."""
    positions, slopes = plan[:, :2] * cells - OFFSET, plan[:, 2:] * cells
    duration = np.abs(slopes).max() / MAX_SPEED
    at = np.linspace(0, 1, max(2, round(duration / TIMESTEP) + 1))
    tau = np.linspace(0, 1, len(plan))
    return Reference(*(np.stack([np.interp(at, tau, x) for x in y.T], axis=1) for y in (positions, slopes / duration)))


def load_timed_planner(
    folder: Callable[[str], Path], data: Prepared, settings: TimedPlannerSettings, sampling: SamplingSettings, name: str
) -> TimedPlanner:
    """A planner from its checkpoints, whose folders `folder` gives by their stages' names."""
    return TimedPlanner(load_planner(folder, data, sampling), data, settings, name)
