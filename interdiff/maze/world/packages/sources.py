"""Files of demonstrations from outside, by their kind: D4RL's or one's own, Minari's, OGBench's."""

from __future__ import annotations

from pathlib import Path

from interdiff.errors import InputError
from interdiff.maze.world.d4rl import Stream, check_keys, in_map, opened, read_stream
from interdiff.maze.world.layouts import OFFSET, Layout
from interdiff.maze.world.packages import minari, ogbench

_OWN = (-OFFSET, -OFFSET)
"""The corner of a map in our joint coordinates."""


def check_source(path: Path) -> None:
    """What can be told of a file without reading its data; raises as `read_source` does."""
    if path.suffix == ".npz":
        ogbench.check_fields(path)
        return
    with opened(path) as file:
        (minari.check_keys if minari.FIRST in file else check_keys)(path, file)


def read_source(path: Path, layout: Layout, origin: tuple[float, float] = _OWN, dt: float | None = None) -> Stream:
    """A file's stream in the coordinates and time of a maze of ours; `origin` and `dt` as in `in_map`.

    Raises:
        InputError: the file is missing, damaged, of none of these kinds or of another map, or it is of a kind whose
            coordinates are known and has an origin.
    """
    stream = _known(path, layout, dt)
    if stream is None:
        return in_map(path, read_stream(path), layout, origin, dt)
    if tuple(origin) != _OWN:
        raise InputError(f"{path}: origin={list(origin)}, but coordinates of Minari's and OGBench's files are known")
    return in_map(path, stream, layout, _OWN, dt)


def _known(path: Path, layout: Layout, dt: float | None) -> Stream | None:
    """The stream of Minari's or OGBench's file in our coordinates, None of another kind."""
    if path.suffix == ".npz":
        return ogbench.read_file(path, dt or ogbench.DT)
    with opened(path) as file:
        return minari.read_episodes(path, file, layout) if minari.FIRST in file else None
