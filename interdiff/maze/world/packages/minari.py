"""Minari's D4RL/pointmaze data sets: HDF5 files with a group per episode, made in gymnasium-robotics' PointMaze.

Its x runs along columns and its y against rows, from the middle of the map; the row after each step is there too.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from interdiff.errors import InputError
from interdiff.maze.world.d4rl import Stream, stream_of
from interdiff.maze.world.layouts import OFFSET, Layout

FIRST = "episode_0"
"""The group that tells such a file."""
_DATA = ("observations/observation", "observations/desired_goal", "actions")
_SAME = 1e-6


def check_keys(path: Path, file: h5py.File) -> None:
    """InputError where the first episode lacks what is read of each."""
    missing = [name for name in _DATA if not isinstance(file[FIRST].get(name), h5py.Dataset)]
    if missing:
        raise InputError(f"{path}: not a data set of D4RL/pointmaze, {FIRST} lacks {', '.join(missing)}")


def read_episodes(path: Path, file: h5py.File, layout: Layout) -> Stream:
    """The episodes in their order as one stream in the coordinates of our joints.

    Where an episode begins at the very end of the one before, the motion goes on, and that row is there once; elsewhere the
    ball was reset. An episode's goal is that of its last row: in released data the first row has the one before.
    """
    check_keys(path, file)
    names = sorted(
        (name for name in file if name.startswith("episode_")), key=lambda name: int(name.rpartition("_")[2])
    )
    parts: list[dict[str, np.ndarray]] = []
    last = np.full(4, np.nan)
    for name in names:
        states, goals, actions = (np.asarray(file[name][key][()], dtype=np.float64) for key in _DATA)
        if states.ndim != 2 or states.shape[1] != 4 or not len(states) == len(goals) == len(actions) + 1:
            shapes = ", ".join(f"{key} {file[name][key].shape}" for key in _DATA)
            raise InputError(f"{path}: {name} has {shapes}; expected [S + 1, 4], [S + 1, 2] and [S, 2]")
        goes_on = bool(np.abs(states[0] - last).max() <= _SAME)
        if parts:
            parts[-1]["timeouts" if goes_on else "terminals"][-1] = True
        last = states[-1]
        rows = slice(int(goes_on), None)
        flags = {flag: np.zeros(len(states[rows]), dtype=bool) for flag in ("timeouts", "terminals")}
        positions, velocities = joint_positions(layout, states[rows, :2]), turned(states[rows, 2:])
        parts.append(
            flags
            | {
                "observations": np.concatenate([positions, velocities], axis=1),
                "actions": turned(np.concatenate([actions, np.zeros((1, 2))])[rows]),
                "infos/goal": np.broadcast_to(joint_positions(layout, goals[-1]), positions.shape),
            }
        )
    parts[-1]["timeouts"][-1] = True
    return stream_of(path, {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


def joint_positions(layout: Layout, positions: np.ndarray) -> np.ndarray:
    """Positions [..., 2] of PointMaze in joint coordinates of ours."""
    rows, columns = layout.walls.shape
    return turned(positions) + np.array([rows / 2, columns / 2]) - OFFSET


def pointmaze_positions(layout: Layout, positions: np.ndarray) -> np.ndarray:
    """The inverse of `joint_positions`."""
    rows, columns = layout.walls.shape
    return turned_back(positions + OFFSET - np.array([rows / 2, columns / 2]))


def turned(vectors: np.ndarray) -> np.ndarray:
    """Velocities or actions [..., 2] of PointMaze along our axes."""
    return np.stack([-vectors[..., 1], vectors[..., 0]], axis=-1)


def turned_back(vectors: np.ndarray) -> np.ndarray:
    """The inverse of `turned`."""
    return np.stack([vectors[..., 1], -vectors[..., 0]], axis=-1)
