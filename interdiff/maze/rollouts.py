"""Rollouts in the simulator: episodes, the PD tracker, feedback policies, and D4RL's score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from interdiff.errors import InputError
from interdiff.maze import d4rl_package
from interdiff.maze.controller import WaypointController, route
from interdiff.maze.layouts import Layout
from interdiff.maze.settings import TrackerSettings
from interdiff.maze.simulator import TIMESTEP, PointMaze

GOAL_RADIUS = 0.5
BALL_RADIUS = 0.1
MASS = 1000 * 4 / 3 * math.pi * BALL_RADIUS**3
"""Of the ball, by its density in the model."""
MAX_FORCE = 100.0
"""Of each motor: its gear at control 1."""
DAMPING = 1.0
"""Force per speed, of each joint."""
STEPS = {"umaze": 300, "medium": 600, "large": 800, "umaze_eval": 300, "medium_eval": 600, "large_eval": 800}
"""Length of an episode by map."""
REFERENCE_SCORES = {
    "umaze": (23.85, 161.86),
    "medium": (13.13, 277.39),
    "large": (6.7, 273.99),
    "umaze_eval": (36.63, 141.4),
    "medium_eval": (13.07, 204.93),
    "large_eval": (16.4, 302.22),
}
"""Returns of D4RL's random policy and of its reference controller, where the package d4rl is not there to ask."""

State = tuple[float, float, float, float]
Policy = Callable[[int, State], tuple[float, float]]


@dataclass(frozen=True)
class Reference:
    """What the tracker follows: positions and velocities [n, 2] in joint coordinates, one row per 0.01 s."""

    positions: np.ndarray
    velocities: np.ndarray


@dataclass(frozen=True)
class Episodes:
    """Start states [N, 4] and goals [N, 2] of one cell of the table, the same for every planner."""

    states: np.ndarray
    goals: np.ndarray


def episodes(layout: Layout, task: str, n: int, seed: int) -> Episodes:
    """D4RL's starts (a random free cell +-0.1, velocities N(0, 0.1^2)); goals: the map's, or random in task "multi"."""
    rng = np.random.default_rng(seed)
    cells = np.array(layout.free_cells, dtype=float)

    def near_cells() -> np.ndarray:
        return cells[rng.integers(len(cells), size=n)] + rng.uniform(-0.1, 0.1, (n, 2))

    states = np.concatenate([near_cells(), rng.normal(0, 0.1, (n, 2))], axis=1)
    if task == "multi":
        return Episodes(states, near_cells())
    if layout.goal is None:
        raise InputError(f"map {layout.name!r}: task {task!r} needs a goal 'G'")
    return Episodes(states, np.tile(np.array(layout.goal, dtype=float), (n, 1)))


def tracker(reference: Reference, settings: TrackerSettings) -> Policy:
    """PD control of position and velocity; past the last row it holds that position at rest.

    With `feed_forward` it adds the action that moves an undisturbed ball as the reference moves.
    """
    velocities = np.concatenate([reference.velocities, np.zeros((1, 2))])
    force = MASS * np.diff(velocities, axis=0) / TIMESTEP + DAMPING * reference.velocities
    ahead = settings.feed_forward * force / MAX_FORCE
    rows = np.concatenate([reference.positions, reference.velocities, ahead], axis=1).tolist()
    rest = (*rows[-1][:2], 0.0, 0.0, 0.0, 0.0)
    p, d = settings.p_gain, settings.d_gain

    def act(step: int, state: State) -> tuple[float, float]:
        x, y, vx, vy, ux, uy = rows[step + 1] if step + 1 < len(rows) else rest
        return (
            ux + p * (x - state[0]) + d * (vx - state[2]),
            uy + p * (y - state[1]) + d * (vy - state[3]),
        )

    return act


def shortest_path_policy(layout: Layout, state: np.ndarray, goal: np.ndarray, rng: np.random.Generator) -> Policy:
    """A PD chase of the next cell's corridor centre on the shortest path to the goal's cell, then of the goal."""
    target = (round(float(goal[0])), round(float(goal[1])))
    ways: dict[tuple[int, int], tuple[float, float]] = {}

    def act(step: int, now: State) -> tuple[float, float]:
        # Cell w spans [w - 0.7, w + 0.3] of joint positions.
        cell = (int(np.floor(now[0] + 0.7)), int(np.floor(now[1] + 0.7)))
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


def roll(layout: Layout, cases: Episodes, policies: Sequence[Policy], steps: int) -> np.ndarray:
    """The ball's positions [N, steps, 2] after each step, in joint coordinates."""
    maze = PointMaze(layout)
    positions = np.empty((len(policies), steps, 2))
    for n, policy in enumerate(policies):
        state = tuple(maze.reset(cases.states[n, :2], cases.states[n, 2:]).tolist())
        for step in range(steps):
            state = maze.advance(*policy(step, state))
            positions[n, step] = state[:2]
    return positions


def at_goal(positions: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """D4RL's sparse reward: whether each of positions [N, steps, 2] is within 0.5 of its goal [N, 2]; bool."""
    return np.linalg.norm(positions - goals[:, None], axis=-1) <= GOAL_RADIUS


def reference_scores(name: str) -> tuple[float, float]:
    """The returns between which D4RL normalises a map's: of its random policy and of its reference controller."""
    return d4rl_package.reference_scores(name) or REFERENCE_SCORES[name]


def scores(rewards: np.ndarray, name: str) -> dict[str, float]:
    """Figures of rewards [N, steps] on a D4RL map: every step at the goal counts once, none after leaving it."""
    low, high = reference_scores(name)
    returns = rewards.sum(axis=1)
    score = 100 * (returns - low) / (high - low)
    reached = rewards.any(axis=1)
    return {
        "n": len(rewards),
        "return_mean": float(returns.mean()),
        "score": float(score.mean()),
        "score_se": float(score.std(ddof=1) / np.sqrt(len(score))),
        "success": float(reached.mean()),
        "first_reach": float(rewards.argmax(axis=1)[reached].mean()) if reached.any() else float("nan"),
    }
