"""Collisions of planned paths: exact, piece by piece, against the true wall boxes."""

from __future__ import annotations

import numpy as np

_CHUNK = 1 << 17
_TOUCH = 1e-9


def piece_collisions(positions: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """Which straight pieces between consecutive points leave free space: bool [..., T - 1].

    `positions` [..., T, 2] are normalised (u / G); `occupancy` [..., G, G] has 1 = wall, with leading axes
    that broadcast to those of the positions. Free space is the union of the closed free cells, so that
    touching a wall or a corner is no collision; outside the grid is wall, and so is a point that is not
    finite. Each piece is split where it crosses grid lines and the midpoint of every part is looked up, which
    is exact up to parts shorter than 1e-9 cells.
    """
    positions = np.asarray(positions, dtype=np.float64)
    grid = occupancy.shape[-1]
    lead = positions.shape[:-2]
    maps = np.asarray(occupancy, dtype=bool).reshape(-1, grid, grid)
    numbers = np.arange(len(maps)).reshape(occupancy.shape[:-2])
    map_numbers = np.broadcast_to(numbers[..., None], (*lead, positions.shape[-2] - 1)).ravel()
    starts = (positions[..., :-1, :] * grid).reshape(-1, 2)
    ends = (positions[..., 1:, :] * grid).reshape(-1, 2)
    collides = np.empty(len(starts), dtype=bool)
    for first in range(0, len(starts), _CHUNK):
        part = slice(first, first + _CHUNK)
        collides[part] = _leaves_free(starts[part], ends[part], maps, map_numbers[part])
    return collides.reshape(*lead, positions.shape[-2] - 1)


def crossed(positions: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """Whether any piece of each path collides: bool [...] (shapes as in piece_collisions)."""
    return np.any(piece_collisions(positions, occupancy), axis=-1)


def _leaves_free(starts: np.ndarray, ends: np.ndarray, maps: np.ndarray, map_numbers: np.ndarray) -> np.ndarray:
    """piece_collisions for pieces [n, 2] in grid coordinates on maps[map_numbers]."""
    grid = maps.shape[-1]
    # The grid is convex: a piece is inside if both of its ends are. Not finite compares as outside.
    inside = ((starts >= 0) & (starts <= grid) & (ends >= 0) & (ends <= grid)).all(axis=1)
    starts, ends = np.where(inside[:, None], starts, 0.0), np.where(inside[:, None], ends, 0.0)
    times = _crossing_times(starts, ends)
    middles = (times[:, 1:] + times[:, :-1]) / 2
    delta = ends - starts
    length = np.hypot(delta[:, 0], delta[:, 1])
    counts = np.diff(times, axis=1) * length[:, None] > _TOUCH
    counts[length <= _TOUCH, 0] = True
    points = starts[:, None, :] + middles[:, :, None] * delta[:, None, :]
    piece, part = np.nonzero(counts)
    in_wall = ~_is_free(points[piece, part], maps, map_numbers[piece])
    collides = ~inside
    collides[piece[in_wall]] = True
    return collides


def _crossing_times(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Sorted times in [0, 1] of start, grid line crossings (padded with ones) and end: [n, 2 m + 2]."""
    delta = ends - starts
    first = np.where(delta > 0, np.floor(starts) + 1, np.ceil(starts) - 1)
    lines = int(np.abs(np.floor(ends) - np.floor(starts)).max(initial=0)) + 1
    steps = np.sign(delta)[..., None] * np.arange(lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = (first[..., None] + steps - starts[..., None]) / delta[..., None]
    times = np.where(np.isfinite(times), np.clip(times, 0, 1), 1.0).reshape(len(starts), -1)
    bounds = np.zeros((len(starts), 1))
    return np.sort(np.concatenate([bounds, times, bounds + 1], axis=1), axis=1)


def _is_free(points: np.ndarray, maps: np.ndarray, map_numbers: np.ndarray) -> np.ndarray:
    """Whether points [n, 2] lie in a closed free cell of their map: on a grid line, either side will do."""
    low = np.maximum(np.ceil(points).astype(np.int64) - 1, 0)
    high = np.minimum(np.floor(points).astype(np.int64), maps.shape[-1] - 1)
    free = np.zeros(len(points), dtype=bool)
    for row in (low[:, 0], high[:, 0]):
        for col in (low[:, 1], high[:, 1]):
            free |= ~maps[map_numbers, row, col]
    return free
