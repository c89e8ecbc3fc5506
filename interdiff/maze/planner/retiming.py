"""The fastest way along a path that the ball's motors and its speed limit allow.

Along a path q(u) with rate r = du/dt, velocity and acceleration are q' r and q' dr/dt + q'' r^2, so that with y = r^2 the
limits of each axis are linear in y and in dy/du = 2 dr/dt: speed |q'| sqrt(y) <= v and |q' (dy/du) / 2 + q'' y| <= a. The
fastest y(u) is what both a forward and a backward pass at the limits allow (Bobrow et al. 1985; Pham & Pham 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from scipy.interpolate import splev, splprep
from scipy.ndimage import map_coordinates

from interdiff.errors import InputError
from interdiff.maze.planner.settings import RetimingSettings
from interdiff.maze.world.collisions import crossed
from interdiff.maze.world.layouts import OFFSET
from interdiff.maze.world.simulator import DAMPING, MASS, MAX_FORCE, MAX_SPEED, TIMESTEP
from interdiff.maze.world.tracker import Reference

KNOTS = 400
LONGEST = 1.0
"""Seconds between two knots at most: at a kink the ball stands, and without a bound for weeks."""


def retimed(path: np.ndarray, velocity: np.ndarray, effort: float, smoothing: float) -> Reference:
    """The fastest reference along a path from the speed that the ball has to rest.

    Args:
        path: [n, 2] joint positions, n >= 4.
        velocity: [2] the ball's velocity at the start; its part along the path counts.
        effort: share of force and of speed to use, in (0, 1]; the rest is left to the tracker.
        smoothing: deviation from the path, in units, that the spline through it may have.

    Raises:
        InputError: the path has no length.
    """
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    path = path[np.concatenate([[True], lengths > 1e-6])]
    if len(path) < 4:
        raise InputError(f"a path of {len(path)} different points cannot be retimed; expected at least 4")
    weight = np.full(len(path), 1 / max(smoothing, 1e-6))
    weight[[0, -1]] *= 100  # both ends stay
    spline, _ = splprep(path.T, w=weight, s=len(path), k=3)
    u = np.linspace(0, 1, KNOTS)
    first, second = (np.stack(splev(u, spline, der=order), axis=1) for order in (1, 2))
    along = max(0.0, float(velocity @ first[0]) / float(first[0] @ first[0]))
    speed = effort * MAX_SPEED
    # Damping takes its share of the force at full speed.
    acceleration = (effort * MAX_FORCE - DAMPING * speed) / MASS
    rate = np.sqrt(_squared_rates(first, second, along**2, speed, acceleration, u[1]))
    times = np.concatenate([[0.0], np.cumsum(2 * u[1] / (rate[1:] + rate[:-1]).clip(2 * u[1] / LONGEST))])
    at, rate_at = _at_steps(u, rate, times)
    positions, slopes = (np.stack(splev(at, spline, der=order), axis=1) for order in (0, 1))
    return Reference(positions, slopes * rate_at[:, None])


def timings(path: np.ndarray, velocity: np.ndarray, settings: RetimingSettings) -> list[Reference]:
    """A path [n, 2] retimed with each of the smoothings; `velocity` [2] is the ball's."""
    return [retimed(path, velocity, settings.effort, smoothing) for smoothing in settings.smoothings]


def fastest_clear(
    references: Sequence[Reference], walls: np.ndarray, distance: np.ndarray, clearance: float
) -> tuple[int, bool]:
    """Which reference takes the least time, each unit of clearance that one lacks counting as ten seconds.

    One that stays in free space comes before all that do not.

    Args:
        walls: [G, G] occupancy.
        distance: [R, R] signed distance to walls, in units, on the same grid.

    Returns:
        Its number, and whether it stays in free space.
    """
    resolution = len(distance) / len(walls)

    def cost(reference: Reference) -> float:
        at = (reference.positions + OFFSET).T * resolution - 0.5
        nearest = map_coordinates(distance, at, order=1, mode="nearest").min()
        return len(reference.positions) * TIMESTEP + 10 * max(0.0, clearance - nearest)

    order = np.argsort([cost(reference) for reference in references], kind="stable").tolist()
    for number in order:
        if not crossed((references[number].positions + OFFSET) / len(walls), walls):
            return number, True
    return order[0], False


def _at_steps(u: np.ndarray, rate: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u and its rate at every step and at the end; between knots the rate changes evenly in time."""
    steps = np.append(np.arange(0, times[-1], TIMESTEP), times[-1])
    knot = np.searchsorted(times, steps, side="right").clip(1, len(times) - 1) - 1
    since = steps - times[knot]
    change = np.diff(rate**2)[knot] / (2 * u[1])
    return (u[knot] + rate[knot] * since + change * since**2 / 2).clip(0, 1), rate[knot] + change * since


@numba.njit(cache=True)
def _squared_rates(first, second, start, speed, acceleration, du):
    """y at every knot: the limits' curve, then forward from `start` and backward from rest."""
    count = len(first)
    y = np.empty(count)
    for i in range(count):
        y[i] = np.inf
        for k in range(2):
            y[i] = min(y[i], (speed / max(abs(first[i, k]), 1e-9)) ** 2)
            y[i] = min(y[i], 0.95 * acceleration / max(abs(second[i, k]), 1e-9))
    y[0] = min(y[0], start)
    for i in range(count - 1):
        _, most = _slopes(first[i], second[i], y[i], acceleration)
        y[i + 1] = min(y[i + 1], max(y[i] + most * du, 0.0))
    y[count - 1] = 0.0
    for i in range(count - 1, 0, -1):
        least, _ = _slopes(first[i], second[i], y[i], acceleration)
        y[i - 1] = min(y[i - 1], max(y[i] - least * du, 0.0))
    return y


@numba.njit(cache=True)
def _slopes(first, second, y, acceleration):
    """The least and the greatest dy/du that keep both axes within their acceleration; 0 where there is none."""
    least, most = -np.inf, np.inf
    for k in range(2):
        slope = abs(first[k])
        if slope > 1e-9:
            bend = second[k] * y * np.sign(first[k])
            least = max(least, 2 * (-acceleration - bend) / slope)
            most = min(most, 2 * (acceleration - bend) / slope)
    return min(least, 0.0), max(most, 0.0)
