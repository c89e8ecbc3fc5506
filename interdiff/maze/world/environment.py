"""The maze as Gymnasium environments, with D4RL's semantics.

`gymnasium.make("interdiff/Maze2D-large-multi-v0")` after importing this module: dynamics, starts, sparse reward and episode
length are those of maze2d-large-sparse-v1, whose `multi` task draws a new goal each episode. Episodes are truncated, never
terminated. Observations [4] are joint positions and velocities; `info["goal"]` [2] is the goal.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from interdiff.maze.world.layouts import MAPS, load_layout
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import GOAL_RADIUS, STEPS, episodes, reference_scores

TASKS = ("single", "multi")


class Maze2D(gymnasium.Env):
    """One of D4RL's maps with the map's goal (task "single") or a random one each episode ("multi")."""

    metadata = {"render_modes": []}  # noqa: RUF012, a class variable in all but its annotation

    def __init__(self, layout: str, task: str) -> None:
        self.layout, self.task = load_layout(layout), task
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self._maze = PointMaze(self.layout)
        self._goal = np.zeros(2)

    @property
    def reference_scores(self) -> tuple[float, float]:
        """Returns that D4RL's score counts as 0 and 100."""
        return reference_scores(self.layout.name)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        case = episodes(self.layout, self.task, 1, int(self.np_random.integers(2**31)))
        self._goal = case.goals[0]
        return self._maze.reset(case.states[0, :2], case.states[0, 2:]), {"goal": self._goal.copy()}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        state = self._maze.step(action)
        at_goal = np.linalg.norm(state[:2] - self._goal) <= GOAL_RADIUS
        return state, float(at_goal), False, False, {"goal": self._goal.copy(), "success": bool(at_goal)}


for _layout in MAPS:
    for _task in TASKS:
        gymnasium.register(
            f"interdiff/Maze2D-{_layout}-{_task}-v0",
            entry_point="interdiff.maze.world.environment:Maze2D",
            max_episode_steps=STEPS[_layout],
            kwargs={"layout": _layout, "task": _task},
        )
