"""Who drives the same episodes: policies that see every step, and planners whose plans a tracker follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from interdiff.learning.costs import counted_tokens, median_milliseconds
from interdiff.maze.evaluation.rollouts import controller_policy, shortest_path_policy
from interdiff.maze.evaluation.settings import PlanningSettings
from interdiff.maze.evaluation.unseen import share_through_walls
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.retiming import fastest_clear, timings
from interdiff.maze.planner.settings import RetimingSettings
from interdiff.maze.planner.timed_planner import TimedPlanner, load_timed_planner
from interdiff.maze.world.layouts import Layout, occupancy, signed_distance
from interdiff.maze.world.paths import shortest_path
from interdiff.maze.world.settings import TrackerSettings
from interdiff.maze.world.tasks import Episodes
from interdiff.maze.world.tracker import Policy, Reference, tracker

FEEDBACK = {"shortest_path_chase": shortest_path_policy, "controller": controller_policy}
NO_COSTS = {"token_evals": 0.0, "params_m": 0.0}
"""Of policies that make no plan."""
SDF_RESOLUTION = 8
"""Samples of the distance to walls per cell."""


class DrivenPlanner(Protocol):
    """What every planner of a table offers."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References from states [N, 4] to goals [N, 2], in joint coordinates."""
        ...


def feedback_policies(
    layout: Layout, cases: Episodes, rng: Callable[[], np.random.Generator]
) -> dict[str, list[Policy]]:
    """The policies that see the map and the state at every step, one per episode; each kind draws from a fresh `rng()`."""
    policies = {}
    for name, policy in FEEDBACK.items():
        own = rng()
        policies[name] = [policy(layout, *case, own) for case in zip(cases.states, cases.goals, strict=True)]
    return policies


def tracked(references: Sequence[Reference], gains: TrackerSettings) -> list[Policy]:
    """Plans followed by a tracker."""
    return [tracker(reference, gains) for reference in references]


def driven_fast(
    references: Sequence[Reference], layout: Layout, cases: Episodes, settings: RetimingSettings
) -> list[Reference]:
    """The same paths as fast as the motors allow, as our planner's are: it tells path from pace."""
    cells = max(layout.walls.shape)
    walls, distance = occupancy(layout, cells), signed_distance(layout, cells, SDF_RESOLUTION)
    fast = []
    for state, reference in zip(cases.states, references, strict=True):
        options = timings(reference.positions, state[2:], settings)
        best, _ = fastest_clear(options, walls, distance, settings.clearance)
        fast.append(options[best])
    return fast


@dataclass(frozen=True)
class ShortestPathPlanner:
    """The search's path in the place of a learned one, driven as ours are: what learning to plan must be worth.

    frames: points of the path, spaced evenly along it.
    """

    frames: int
    retiming: RetimingSettings
    name: str = "shortest_path_planned"
    parameters: int = 0

    def plan(
        self, layout: Layout, states: np.ndarray, goals: np.ndarray, generator: torch.Generator
    ) -> list[Reference]:
        """References from states [N, 4] to goals [N, 2], in joint coordinates."""
        paths = [shortest_path(layout, state, goal, self.frames) for state, goal in zip(states, goals, strict=True)]
        references = [Reference(path, np.zeros_like(path)) for path in paths]
        return driven_fast(references, layout, Episodes(states, goals), self.retiming)


def our_planners(
    settings: PlanningSettings,
    results: Path,
    device: torch.device,
) -> dict[str, list[TimedPlanner]]:
    """Our planners by name, one for each training seed, from their folders below the results root."""
    prepared = {name: load_prepared(results / name / "test.npz", device) for name in set(settings.prepared.values())}

    def load(name: str, folders: Mapping[str, str]) -> TimedPlanner:
        data, how = prepared[settings.prepared[name]], settings.sampling[name]
        return load_timed_planner(lambda stage: results / folders[stage], data, settings.planners[name], how, name)

    return {name: [load(name, folders) for folders in own] for name, own in settings.folders.items()}


def searches(ours: Sequence[TimedPlanner]) -> list[ShortestPathPlanner]:
    """The search's path, retimed as one of our planners does, if it does."""
    planner = ours[0]
    retiming = planner.settings.retiming
    return [ShortestPathPlanner(planner.prepared.frames, retiming)] if retiming else []


def planned(
    planner: DrivenPlanner, layout: Layout, cases: Episodes, generator: torch.Generator
) -> tuple[list[Reference], dict[str, float]]:
    """References for all cases, the share of them that leave free space, and the mean tokens through networks of one."""
    references: list[Reference] = []
    tokens = counted_tokens(lambda: references.extend(planner.plan(layout, cases.states, cases.goals, generator)))
    crossing = {"crossed": share_through_walls(layout, references)}
    return references, crossing | {"token_evals": tokens / len(references)}


def costs(planner: DrivenPlanner, layout: Layout, cases: Episodes, generator: torch.Generator) -> dict[str, float]:
    """What a plan costs beside: median milliseconds at batch 1, and millions of parameters."""

    def one(n: int) -> object:
        row = n % len(cases.states)
        return planner.plan(layout, cases.states[row, None], cases.goals[row, None], generator)

    return {"plan_ms": median_milliseconds(one), "params_m": planner.parameters / 1e6}
