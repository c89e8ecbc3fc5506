"""The PD tracker that follows a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from interdiff.maze.world.settings import TrackerSettings
from interdiff.maze.world.simulator import DAMPING, MASS, MAX_FORCE, TIMESTEP

State = tuple[float, float, float, float]
Policy = Callable[[int, State], tuple[float, float]]


@dataclass(frozen=True)
class Reference:
    """What the tracker follows: positions and velocities [n, 2] in joint coordinates, one row per 0.01 s."""

    positions: np.ndarray
    velocities: np.ndarray


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
