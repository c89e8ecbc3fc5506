"""The mazes of gymnasium-robotics and OGBench, driven as our own simulator is: in our joint coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from interdiff.maze.world.layouts import Layout, parse_layout
from interdiff.maze.world.packages.minari import joint_positions, pointmaze_positions, turned, turned_back
from interdiff.maze.world.packages.names import optional
from interdiff.maze.world.packages.ogbench import UNIT, ogbench_places
from interdiff.maze.world.packages.ogbench import joint_positions as of_places
from interdiff.maze.world.simulator import Env, PointMaze, Simulator


def simulator(env: Env, layout: Layout) -> Simulator:
    """D4RL's ball in our own simulator, or in gymnasium-robotics' PointMaze."""
    return PointMaze(layout) if env == "d4rl" else RoboticsPointMaze(layout)


class RoboticsPointMaze:
    """gymnasium-robotics' PointMaze: D4RL's ball, with goals of 0.45 units around."""

    goal_radius = 0.45

    def __init__(self, layout: Layout) -> None:
        module = optional("gymnasium_robotics.envs.maze.point_maze", "pointmaze", "env: pointmaze")
        self.layout = layout
        self._env = module.PointMazeEnv(maze_map=layout.walls.astype(int).tolist(), reset_target=False)
        Path(self._env.tmp_xml_file_path).unlink()
        self._env.reset(seed=0)

    def reset(self, qpos: Sequence[float] | np.ndarray, qvel: Sequence[float] | np.ndarray) -> np.ndarray:
        """As of `PointMaze`."""
        place = pointmaze_positions(self.layout, np.asarray(qpos, dtype=float))
        self._env.point_env.set_state(place, turned_back(np.asarray(qvel, dtype=float)))
        return np.concatenate([qpos, qvel])

    def advance(self, action_x: float, action_y: float) -> tuple[float, float, float, float]:
        """As of `PointMaze`."""
        observation = self._env.step(turned_back(np.array([action_x, action_y])))[0]["observation"]
        x, y = joint_positions(self.layout, observation[:2]).tolist()
        vx, vy = turned(observation[2:]).tolist()
        return x, y, vx, vy


class OGBenchPointMaze:
    """OGBench's maze for a point, which an action of 1 moves by 0.05 cells per axis and step; it has no velocity.

    name: "medium", "large" or "giant", whose map `layout` is.
    """

    def __init__(self, name: str) -> None:
        optional("ogbench", "ogbench", f"OGBench's maze {name}")
        self._env = optional("gymnasium", "ogbench", "OGBench").make(f"pointmaze-{name}-v0").unwrapped
        rows = ("".join("#" if wall else "O" for wall in row) for row in self._env.maze_map)
        self.layout = parse_layout(name, "\\".join(rows))
        self.goal_radius = self._env._goal_tol / UNIT
        self._env.reset(seed=0)

    def tasks(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The middles of the first and the goal's cell of each of its tasks, to each of which it adds +-0.25 per axis."""
        infos = self._env.task_infos
        return [(of_places(np.array(task["init_xy"])), of_places(np.array(task["goal_xy"]))) for task in infos]

    def reset(self, qpos: Sequence[float] | np.ndarray, qvel: Sequence[float] | np.ndarray) -> np.ndarray:
        """As of `PointMaze`; the velocities are ignored."""
        self._env.set_xy(ogbench_places(np.asarray(qpos, dtype=float)))
        return self._state()

    def advance(self, action_x: float, action_y: float) -> tuple[float, float, float, float]:
        """As of `PointMaze`."""
        self._env.step(np.clip([action_y, action_x], -1.0, 1.0))
        x, y, vx, vy = self._state().tolist()
        return x, y, vx, vy

    def _state(self) -> np.ndarray:
        return np.concatenate([of_places(self._env.get_xy()), np.zeros(2)])
