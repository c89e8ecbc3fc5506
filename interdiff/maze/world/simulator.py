"""D4RL's point mass (d4rl/pointmaze/maze_model.py): same model, same limits of velocity and action."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import mujoco
import numpy as np

from interdiff.maze.world.layouts import Layout

TIMESTEP = 0.01
"""Seconds per step (100 Hz, no frame skip)."""
MAX_SPEED = 5.0
"""Limit per axis, applied before each step, in units/s."""
GOAL_RADIUS = 0.5
"""Distance from the goal, in units, within which D4RL rewards."""

_MODEL = """
<mujoco model="point_maze">
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="{timestep}" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <default>
    <joint damping="1" limited="false"/>
    <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
  </default>
  <worldbody>
    <geom name="ground" type="plane" size="40 40 0.25" pos="0 0 -0.1" contype="1" conaffinity="0"/>
    <body name="particle" pos="1.2 1.2 0">
      <geom name="particle_geom" type="sphere" size="0.1" contype="1"/>
      <joint name="ball_x" type="slide" pos="0 0 0" axis="1 0 0"/>
      <joint name="ball_y" type="slide" pos="0 0 0" axis="0 1 0"/>
    </body>
    {walls}
  </worldbody>
  <actuator>
    <motor joint="ball_x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
    <motor joint="ball_y" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
  </actuator>
</mujoco>
"""


def model_xml(layout: Layout) -> str:
    """The MJCF model of a layout: a ball on two slide joints and one box per wall cell."""
    walls = "\n    ".join(
        f'<geom type="box" name="wall_{row}_{col}" pos="{row + 1.0} {col + 1.0} 0" size="0.5 0.5 0.2"/>'
        for row, col in np.argwhere(layout.walls)
    )
    return _MODEL.format(timestep=TIMESTEP, walls=walls)


Env = Literal["d4rl", "pointmaze"]
"""This simulator, or gymnasium-robotics' (`packages.simulators`)."""


class Simulator(Protocol):
    """What episodes are driven in, in joint coordinates of ours; methods as of `PointMaze`."""

    goal_radius: float

    def reset(self, qpos: Sequence[float] | np.ndarray, qvel: Sequence[float] | np.ndarray) -> np.ndarray: ...

    def advance(self, action_x: float, action_y: float) -> tuple[float, float, float, float]: ...


class PointMaze:
    """The simulated ball. States are (x, y, vx, vy): joint positions in units, velocities in units/s."""

    goal_radius = GOAL_RADIUS

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.model = mujoco.MjModel.from_xml_string(model_xml(layout))
        self.data = mujoco.MjData(self.model)
        self._qpos, self._qvel, self._ctrl = self.data.qpos, self.data.qvel, self.data.ctrl

    def reset(self, qpos: Sequence[float] | np.ndarray, qvel: Sequence[float] | np.ndarray) -> np.ndarray:
        """Puts the ball at joint positions `qpos` [2] with velocities `qvel` [2]; returns the state [4]."""
        mujoco.mj_resetData(self.model, self.data)
        self._qpos[:], self._qvel[:] = qpos, qvel
        mujoco.mj_forward(self.model, self.data)
        return self.state

    @property
    def state(self) -> np.ndarray:
        """The state [4], a copy."""
        return np.concatenate([self._qpos, self._qvel])

    def step(self, action: Sequence[float] | np.ndarray) -> np.ndarray:
        """Applies an action [2], clipped to [-1, 1], for one step of 0.01 s; returns the new state [4]."""
        return np.array(self.advance(float(action[0]), float(action[1])))

    def advance(self, action_x: float, action_y: float) -> tuple[float, float, float, float]:
        """`step` on plain floats, for loops over millions of steps."""
        velocity = self._qvel
        speed_x, speed_y = velocity.tolist()
        if not (-MAX_SPEED <= speed_x <= MAX_SPEED and -MAX_SPEED <= speed_y <= MAX_SPEED):
            np.clip(velocity, -MAX_SPEED, MAX_SPEED, out=velocity)
        self._ctrl[0] = min(max(action_x, -1.0), 1.0)
        self._ctrl[1] = min(max(action_y, -1.0), 1.0)
        mujoco.mj_step(self.model, self.data)
        return (*self._qpos.tolist(), *velocity.tolist())


BALL_RADIUS = 0.1
MASS = 1000 * 4 / 3 * math.pi * BALL_RADIUS**3
"""Of the ball, by its density in the model."""
MAX_FORCE = 100.0
"""Of each motor: its gear at control 1."""
DAMPING = 1.0
"""Force per speed, of each joint."""
