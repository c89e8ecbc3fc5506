"""D4RL's HDF5 files: one stream of rows; in those of Maze2D `timeouts` marks the rows that reached their target.

A family of mazes is one file with a group per maze, each laid out as a D4RL file. A file of other tasks may lack infos/*:
then observations are the states, and where an episode ends was its goal (hindsight: Andrychowicz et al. 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from interdiff.errors import InputError
from interdiff.files import atomic_path
from interdiff.maze.world.layouts import OFFSET, Layout, parse_layout
from interdiff.maze.world.simulator import TIMESTEP

_WIDTHS = {"observations": 4, "actions": 2, "infos/goal": 2, "infos/qpos": 2, "infos/qvel": 2}
_STATES = ("infos/qpos", "infos/qvel")
_FLAGS = ("rewards", "terminals", "timeouts")
_SAME = 1e-4


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows in time order, `dt` s apart, under D4RL's names, always with `timeouts`, and the layout if the file has it."""

    arrays: dict[str, np.ndarray]
    layout: Layout | None
    dt: float = TIMESTEP
    hindsight: bool = False
    """Whether the file has no goals, so that where an episode ends is its goal."""

    @cached_property
    def states(self) -> np.ndarray:
        """Simulated states (x, y, vx, vy), float32 [rows, 4]: current also where observations repeat."""
        return np.concatenate([self.arrays["infos/qpos"], self.arrays["infos/qvel"]], axis=1)

    @cached_property
    def ends(self) -> np.ndarray:
        """bool [rows]: the last row of each target: where infos/goal changes next, and what a flag or a reset ends.

        infos/goal counts also where `timeouts` exists: a target may be given up, and the released files do not
        say by what script their `timeouts` were added.
        """
        return _target_ends(self.arrays["infos/goal"]) | self.flags | self.resets

    @cached_property
    def resets(self) -> np.ndarray:
        """bool [rows]: the last row before the ball is put elsewhere: by a flag, or by a step that no motion makes.

        `timeouts` beside a change of target is D4RL's "reached": the motion goes on.
        """
        changes = _target_ends(self.arrays["infos/goal"])
        near = changes | np.append(changes[1:], False) | np.append(False, changes[:-1])
        return self.jumps | self._flagged("terminals") | (self._flagged("timeouts") & ~near)

    @property
    def simulated(self) -> bool:
        """Whether rows follow each other as in our simulator, which moves by the new velocity."""
        moves = np.diff(self.states[:, :2], axis=0) - self.states[1:, 2:] * self.dt
        return self.dt == TIMESTEP and float(np.median(np.abs(moves))) < _SAME

    @property
    def flags(self) -> np.ndarray:
        """bool [rows]: the rows that `timeouts` or `terminals` mark."""
        return self._flagged("timeouts") | self._flagged("terminals")

    def _flagged(self, name: str) -> np.ndarray:
        return np.asarray(self.arrays[name] if name in self.arrays else np.zeros(len(self.states))) > 0

    @property
    def jumps(self) -> np.ndarray:
        """bool [rows]: the next row is farther than twice the way of the faster of both, and 0.05 units."""
        speed = np.linalg.norm(self.states[:, 2:], axis=1)
        way = np.linalg.norm(np.diff(self.states[:, :2], axis=0), axis=1)
        return np.append(way > 2 * self.dt * np.maximum(speed[1:], speed[:-1]) + 0.05, False)


def write_stream(path: Path, arrays: dict[str, np.ndarray], layout: Layout, dt: float = TIMESTEP) -> None:
    """Writes a stream whole or not at all, gzipped, with the attributes `layout` (name), `map` (ASCII) and `dt` (s)."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _write(file, arrays, layout, dt)


def write_family(path: Path, streams: Iterable[tuple[dict[str, np.ndarray], Layout]]) -> None:
    """Writes the streams of several mazes as `write_stream` does, each in a group named after its layout."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for arrays, layout in streams:
            _write(file.create_group(layout.name), arrays, layout)


def _write(group: h5py.Group, arrays: dict[str, np.ndarray], layout: Layout, dt: float = TIMESTEP) -> None:
    group.attrs["layout"], group.attrs["map"], group.attrs["dt"] = layout.name, layout.ascii, dt
    for name, values in arrays.items():
        group.create_dataset(name, data=values, compression="gzip", compression_opts=1, shuffle=True)


def read_stream(path: Path) -> Stream:
    """Reads and checks a D4RL file, ours or a released one, with or without infos/* and flags.

    Raises InputError naming the file for one that is missing, no HDF5 or truncated, lacks a dataset, or
    disagrees with itself.
    """
    with opened(path) as file:
        return _read(path, file)


def read_streams(path: Path) -> list[Stream]:
    """The streams of a family's file, or the one stream of a D4RL file; raises as `read_stream` does."""
    with opened(path) as file:
        groups = [group for group in file.values() if "map" in group.attrs]
        return [_read(path, group) for group in groups or [file]]


def _read(path: Path, group: h5py.Group) -> Stream:
    check_keys(path, group)
    arrays = {name: group[name][()] for name in (*_WIDTHS, *_FLAGS) if name in group}
    name, ascii_map = group.attrs.get("layout"), group.attrs.get("map")
    layout = parse_layout(str(name), str(ascii_map)) if name and ascii_map else None
    return stream_of(path, arrays, layout, float(group.attrs.get("dt", TIMESTEP)))


def stream_of(path: Path, arrays: dict[str, np.ndarray], layout: Layout | None = None, dt: float = TIMESTEP) -> Stream:
    """The stream of arrays under D4RL's names, of which `observations` are enough; raises as `read_stream` does."""
    _check_arrays(path, arrays)
    for key in arrays.keys() & _WIDTHS.keys():
        arrays[key] = arrays[key].astype(np.float32)
    if _STATES[0] not in arrays:
        arrays |= dict(zip(_STATES, np.split(arrays["observations"], 2, axis=1), strict=True))
    stream = Stream(arrays, layout, dt, "infos/goal" not in arrays)
    if stream.hindsight:
        arrays["infos/goal"] = _last_positions(stream)
    arrays.setdefault("timeouts", _target_ends(arrays["infos/goal"]))
    _check_observations(path, arrays)
    return replace(stream)  # without what was computed before the goals were known


def _last_positions(stream: Stream) -> np.ndarray:
    """The position [rows, 2] at the end of each row's episode, which a flag or a step that no motion makes ends."""
    ends = stream.flags | stream.jumps
    ends[-1] = True
    last = np.flatnonzero(ends)
    positions: np.ndarray = stream.states[last[np.searchsorted(last, np.arange(len(ends)))], :2]
    return positions


def in_map(path: Path, stream: Stream, layout: Layout, origin: tuple[float, float], dt: float | None) -> Stream:
    """A stream of a file from outside in the coordinates and time of a maze of ours.

    origin: where the corner of the map lies in the file's coordinates; dt: seconds between rows, null as the file says.

    Raises:
        InputError: more than a tenth of the positions lie in walls.
    """
    shift = np.asarray(origin, np.float32) + np.float32(OFFSET)
    places = {name: stream.arrays[name] - shift for name in ("infos/qpos", "infos/goal")}
    observations = stream.arrays["observations"] - np.append(shift, [0, 0]).astype(np.float32)
    moved = replace(stream, arrays={**stream.arrays, **places, "observations": observations}, dt=dt or stream.dt)
    corner = places["infos/qpos"] + np.float32(OFFSET)
    cells = np.floor(corner).astype(int)
    inside = ((cells >= 0) & (cells < layout.walls.shape)).all(axis=1)
    free = inside.copy()
    free[inside] = ~layout.walls[tuple(cells[inside].T)]
    if free.mean() < 0.9:
        least, greatest = (np.round(f(stream.arrays["infos/qpos"], axis=0), 2).tolist() for f in (np.min, np.max))
        size = "x".join(map(str, layout.walls.shape))
        raise InputError(
            f"{path}: {1 - free.mean():.0%} of its positions lie in walls of map {layout.name!r}; they go from {least} to"
            f" {greatest}, the map of {size} cells begins at origin={list(origin)}. Expected x along rows, y along columns,"
            f" cells of 1 unit"
        )
    return moved


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read; InputError where it is missing, none or truncated."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r", track_order=True) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 file, or a truncated one ({error})") from error


def check_keys(path: Path, file: h5py.Group) -> None:
    """InputError where a group lacks what a D4RL file has; its data are not read."""
    missing = [name for name in ("observations",) if not isinstance(file.get(name), h5py.Dataset)]
    missing += [b for a, b in (_STATES, _STATES[::-1]) if a in file and b not in file]
    if missing:
        found = ", ".join(sorted(file)) or "nothing"
        raise InputError(f"{path}: not a D4RL file, missing {', '.join(missing)}; it has {found}")


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
