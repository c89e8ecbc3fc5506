"""OGBench's pointmaze-* data sets: npz files of one stream of episodes without goals or velocities.

Cells have sides of 4 units; x runs along columns, y along rows, and the middle of cell (1, 1) is the origin. A step is 0.1 s.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.maze.world.d4rl import Stream, stream_of
from interdiff.maze.world.layouts import OFFSET

UNIT = 4.0
DT = 0.1
"""Seconds per step."""
STEP = 0.2 / UNIT
"""Cells per axis that an action of 1 moves the point by."""
_FIELDS = ("observations", "actions", "terminals")


def check_fields(path: Path) -> None:
    """InputError where the file is none of OGBench's mazes for a point, told without reading its data."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with np.load(path) as file:
            missing = [name for name in _FIELDS if name not in file]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an npz file, or a truncated one ({error})") from error
    if missing:
        raise InputError(f"{path}: not a data set of OGBench, missing {', '.join(missing)}")


def read_file(path: Path, dt: float = DT) -> Stream:
    """The episodes as one stream in the coordinates of our joints, with the velocities of their steps of `dt` s."""
    check_fields(path)
    arrays = load_arrays(path, _FIELDS)
    places, terminals = arrays["observations"], np.asarray(arrays["terminals"]) > 0
    if places.ndim != 2 or places.shape[1] != 2:
        raise InputError(f"{path}: observations have shape {places.shape}, expected [S, 2], those of a pointmaze")
    positions = joint_positions(places.astype(np.float64))
    velocities = np.diff(positions, axis=0, prepend=positions[:1]) / dt
    velocities[1:][terminals[:-1]] = 0
    stream = {
        "observations": np.concatenate([positions, velocities], axis=1),
        "actions": arrays["actions"][:, ::-1],
        "terminals": terminals,
    }
    return stream_of(path, stream, dt=dt)


def joint_positions(places: np.ndarray) -> np.ndarray:
    """Places [..., 2] of OGBench in joint coordinates of ours."""
    return places[..., ::-1] / UNIT + 1.5 - OFFSET


def ogbench_places(positions: np.ndarray) -> np.ndarray:
    """The inverse of `joint_positions`."""
    return (positions[..., ::-1] + OFFSET - 1.5) * UNIT
