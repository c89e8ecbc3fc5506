"""D4RL's HDF5 files of Maze2D: one stream of rows; `timeouts` marks the rows that reached their target.

A family of mazes is one file with a group per maze, each laid out as a D4RL file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from interdiff.errors import InputError
from interdiff.files import atomic_path
from interdiff.maze.world.layouts import Layout, parse_layout

_WIDTHS = {"observations": 4, "actions": 2, "infos/goal": 2, "infos/qpos": 2, "infos/qvel": 2}
_FLAGS = ("rewards", "terminals", "timeouts")
_SAME = 1e-4


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows in time order under D4RL's names, always with `timeouts`, and the layout if the file has it."""

    arrays: dict[str, np.ndarray]
    layout: Layout | None

    @property
    def states(self) -> np.ndarray:
        """Simulated states (x, y, vx, vy), float32 [rows, 4]: current also where observations repeat."""
        return np.concatenate([self.arrays["infos/qpos"], self.arrays["infos/qvel"]], axis=1)

    @property
    def ends(self) -> np.ndarray:
        """bool [rows]: the last row of each target: where infos/goal changes next, and the last row if
        `timeouts` marks it.

        infos/goal is the source also where `timeouts` exists: a target may be given up, and the released
        files do not say by what script their `timeouts` were added.
        """
        ends = _target_ends(self.arrays["infos/goal"])
        ends[-1] = self.arrays["timeouts"][-1]
        return ends


def write_stream(path: Path, arrays: dict[str, np.ndarray], layout: Layout) -> None:
    """Writes a stream whole or not at all, gzipped, with the attributes `layout` (name) and `map` (ASCII)."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _write(file, arrays, layout)


def write_family(path: Path, streams: Iterable[tuple[dict[str, np.ndarray], Layout]]) -> None:
    """Writes the streams of several mazes as `write_stream` does, each in a group named after its layout."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for arrays, layout in streams:
            _write(file.create_group(layout.name), arrays, layout)


def _write(group: h5py.Group, arrays: dict[str, np.ndarray], layout: Layout) -> None:
    group.attrs["layout"], group.attrs["map"] = layout.name, layout.ascii
    for name, values in arrays.items():
        group.create_dataset(name, data=values, compression="gzip", compression_opts=1, shuffle=True)


def read_stream(path: Path) -> Stream:
    """Reads and checks a D4RL file, ours or a released one, with or without `timeouts` (then derived from
    changes of infos/goal).

    Raises InputError naming the file for one that is missing, no HDF5 or truncated, lacks a dataset, or
    disagrees with itself.
    """
    with _opened(path) as file:
        return _read(path, file)


def read_streams(path: Path) -> list[Stream]:
    """The streams of a family's file, or the one stream of a D4RL file; raises as `read_stream` does."""
    with _opened(path) as file:
        groups = [group for group in file.values() if "map" in group.attrs]
        return [_read(path, group) for group in groups or [file]]


def _read(path: Path, group: h5py.Group) -> Stream:
    _check_keys(path, group)
    arrays = {name: group[name][()] for name in (*_WIDTHS, *_FLAGS) if name in group}
    name, ascii_map = group.attrs.get("layout"), group.attrs.get("map")
    _check_arrays(path, arrays)
    for key in _WIDTHS:
        arrays[key] = arrays[key].astype(np.float32)
    arrays.setdefault("timeouts", _target_ends(arrays["infos/goal"]))
    _check_observations(path, arrays)
    return Stream(arrays, parse_layout(str(name), str(ascii_map)) if name and ascii_map else None)


def check_file(path: Path) -> None:
    """What can be told of a D4RL file without reading its data: InputError as of `read_stream`."""
    with _opened(path) as file:
        _check_keys(path, file)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r", track_order=True) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 file, or a truncated one ({error})") from error


def _check_keys(path: Path, file: h5py.Group) -> None:
    missing = [name for name in _WIDTHS if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        found = ", ".join(sorted(file)) or "nothing"
        raise InputError(f"{path}: not a D4RL Maze2D file, missing {', '.join(missing)}; it has {found}")


def _check_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    rows = len(arrays["observations"])
    for name, values in arrays.items():
        expected = (rows, _WIDTHS[name]) if name in _WIDTHS else (rows,)
        if values.shape != expected:
            raise InputError(f"{path}: {name} has shape {values.shape}, expected {expected}")
        if values.dtype.kind not in "biuf":
            raise InputError(f"{path}: {name} has type {values.dtype}, expected numbers")
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name} has values that are not finite")
    if rows < 2:
        raise InputError(f"{path}: {rows} rows, expected at least 2")


def _target_ends(goals: np.ndarray) -> np.ndarray:
    """bool [rows]: the rows before each change of target."""
    return np.append((np.diff(goals, axis=0) != 0).any(axis=1), False)


def _check_observations(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Observed positions are the simulated ones; rows after a change of target may repeat the last one."""
    observed, simulated = arrays["observations"][:, :2], arrays["infos/qpos"]
    differs = (np.abs(observed - simulated) > _SAME).any(axis=1)
    unchanged = (np.abs(np.diff(observed, axis=0)) <= _SAME).all(axis=1)
    repeats = np.append(False, _target_ends(arrays["infos/goal"])[:-1] & unchanged)
    wrong = np.flatnonzero(differs & ~repeats)
    if len(wrong):
        raise InputError(
            f"{path}: observations[:, :2] differ from infos/qpos in {len(wrong)} rows, first in row "
            f"{wrong[0]}; expected D4RL's observations (x, y, vx, vy)"
        )
