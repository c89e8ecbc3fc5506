"""Rollouts in the simulator, and the policies that see map and state at every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interdiff.maze.world.controller import WaypointController, route
from interdiff.maze.world.layouts import Layout
from interdiff.maze.world.paths import cell_of
from interdiff.maze.world.simulator import Simulator
from interdiff.maze.world.tasks import Episodes
from interdiff.maze.world.tracker import Policy, State


def shortest_path_policy(layout: Layout, state: np.ndarray, goal: np.ndarray, rng: np.random.Generator) -> Policy:
    """A PD chase of the next cell's corridor centre on the shortest path to the goal's cell, then of the goal."""
    target = (round(float(goal[0])), round(float(goal[1])))
    ways: dict[tuple[int, int], tuple[float, float]] = {}

    def act(step: int, now: State) -> tuple[float, float]:
        cell = cell_of(now)
        if cell not in ways:
            following = route(layout, cell, target)[0]
            near = target in (cell, following)
            ways[cell] = (float(goal[0]), float(goal[1])) if near else (following[0] - 0.2, following[1] - 0.2)
        x, y = ways[cell]
        return 10 * (x - now[0]) - now[2], 10 * (y - now[1]) - now[3]

    return act


def controller_policy(layout: Layout, state: np.ndarray, goal: np.ndarray, rng: np.random.Generator) -> Policy:
    """The controller that collected D4RL's data, planned anew for the episode, without action noise."""
    controller = WaypointController(layout, rng)
    target = (float(goal[0]), float(goal[1]))
    return lambda step, state: controller.act(state, target)[:2]


def roll(maze: Simulator, cases: Episodes, policies: Sequence[Policy], steps: int) -> np.ndarray:
    """The ball's positions [N, steps, 2] after each step, in joint coordinates."""
    positions = np.empty((len(policies), steps, 2))
    for n, policy in enumerate(policies):
        state = tuple(maze.reset(cases.states[n, :2], cases.states[n, 2:]).tolist())
        for step in range(steps):
            state = maze.advance(*policy(step, state))
            positions[n, step] = state[:2]
    return positions
