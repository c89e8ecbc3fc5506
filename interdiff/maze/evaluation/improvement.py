"""Expert iteration (Anthony et al. 2017): of a planner's plans the fastest that arrive become demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from interdiff.errors import InputError
from interdiff.maze.evaluation.settings import ImprovementSettings
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.layouts import Layout
from interdiff.maze.world.settings import TrackerSettings
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import GOAL_RADIUS, Episodes, episodes
from interdiff.maze.world.tracker import Policy, tracker

TOGETHER = 32
"""Starts that are planned for together."""


@dataclass(frozen=True)
class Arrival:
    """One arrival: states [n, 4] from the start to the goal, and the actions [n, 2] taken there, the last one none."""

    states: np.ndarray
    actions: np.ndarray


def driven(
    maze: PointMaze, start: np.ndarray, goal: np.ndarray, policy: Policy, reach: float, limit: int
) -> Arrival | None:
    """The way of a policy from a state [4] until it is within `reach` of the goal; None where that takes over `limit` steps."""
    state = tuple(maze.reset(start[:2], start[2:]).tolist())
    states, actions = [state], list[tuple[float, ...]]()
    while np.hypot(state[0] - goal[0], state[1] - goal[1]) > reach:
        if len(actions) == limit:
            return None
        action = tuple(min(max(value, -1.0), 1.0) for value in policy(len(actions), state))
        actions.append(action)
        state = maze.advance(*action)
        states.append(state)
    return Arrival(np.array(states), np.array([*actions, (0.0, 0.0)]))


def fastest(
    planner: TimedPlanner,
    layout: Layout,
    cases: Episodes,
    settings: ImprovementSettings,
    gains: TrackerSettings,
    generator: torch.Generator,
) -> list[Arrival | None]:
    """Of several plans for every case, each driven, the one that arrives first; None where none does."""
    maze = PointMaze(layout)
    best: list[Arrival | None] = [None] * len(cases.states)
    one = replace(planner, settings=settings.planner.model_copy(update={"candidates": 1}))
    for _ in range(settings.planner.candidates):
        plans = one.plan(layout, cases.states, cases.goals, generator)
        for n, (plan, start, goal) in enumerate(zip(plans, cases.states, cases.goals, strict=True)):
            known = best[n]
            limit = settings.steps if known is None else len(known.actions) - 2
            found = driven(maze, start, goal, tracker(plan, gains), settings.reach, limit)
            best[n] = found or known
    return best


def demonstrations(
    planner: TimedPlanner,
    layout: Layout,
    rows: int,
    settings: ImprovementSettings,
    gains: TrackerSettings,
    generators: Callable[[int], torch.Generator],
) -> dict[str, np.ndarray]:
    """At least `rows` rows under the names of D4RL's HDF5 files, each arrival an episode that `terminals` ends.

    Raises:
        InputError: nothing arrives.
    """
    found: list[tuple[Arrival, np.ndarray]] = []
    for number in range(rows):
        if sum(len(arrival.states) for arrival, _ in found) >= rows:
            break
        cases = episodes(layout, "multi", TOGETHER, settings.seed + number)
        arrivals = fastest(planner, layout, cases, settings, gains, generators(number))
        found += [(arrival, goal) for arrival, goal in zip(arrivals, cases.goals, strict=True) if arrival is not None]
        if not found:
            raise InputError(f"{layout.name}: none of {TOGETHER} starts arrives in {settings.steps} steps")
    return _arrays(found, layout)


def _arrays(found: Sequence[tuple[Arrival, np.ndarray]], layout: Layout) -> dict[str, np.ndarray]:
    states = np.concatenate([arrival.states for arrival, _ in found]).astype(np.float32)
    ends = np.zeros(len(states), dtype=bool)
    ends[np.cumsum([len(arrival.states) for arrival, _ in found]) - 1] = True
    goal = np.array(layout.goal or layout.free_cells[0], dtype=np.float32)
    return {
        "observations": states,
        "actions": np.concatenate([arrival.actions for arrival, _ in found]).astype(np.float32),
        "rewards": (np.linalg.norm(states[:, :2] - goal, axis=1) <= GOAL_RADIUS).astype(np.float32),
        "terminals": ends,
        "timeouts": np.zeros(len(states), dtype=bool),
        "infos/goal": np.concatenate([np.tile(goal, (len(a.states), 1)) for a, goal in found]).astype(np.float32),
        "infos/qpos": states[:, :2],
        "infos/qvel": states[:, 2:],
    }
