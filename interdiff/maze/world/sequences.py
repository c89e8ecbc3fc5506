"""From streams of demonstrations to training arrays: resampled sequences and conditions, split by time block.

A sequence is a run of rows of one stream's simulated states (infos/qpos, infos/qvel, which are continuous
across changes of target), resampled to T frames at equal times. Rows are 0.01 s apart by default, so that linear
interpolation between rows is within a dt^2 / 8 = 3e-4 units of the path; the first and last frames are rows.
Velocities are the simulated ones: the integrator moves by the new velocity, so that they lag the path's
derivative by half a step (0.06 units/s on average).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interdiff.errors import InputError
from interdiff.maze.world.collisions import piece_collisions
from interdiff.maze.world.d4rl import Stream
from interdiff.maze.world.layouts import OFFSET, Layout, number_for, occupancy, signed_distance
from interdiff.maze.world.settings import DataSettings
from interdiff.maze.world.splits import held_out

SPLITS = ("train", "val", "test")
REACH = 0.1
"""Distance from its target, a cell's centre, at which D4RL's controller takes the next one."""
_SLACK = 1e-4


@dataclass(frozen=True)
class Spans:
    """Runs of rows: first and last row, both included, int64 [n] each; how many were dropped, by reason."""

    first: np.ndarray
    last: np.ndarray
    dropped: dict[str, int]

    def keep(self, kept: np.ndarray, reason: str) -> Spans:
        """The spans where `kept` [n] is true, the others counted under `reason`."""
        dropped = {**self.dropped, reason: int((~kept).sum())}
        return Spans(self.first[kept], self.last[kept], dropped)


def segment_spans(stream: Stream, min_steps: int, reach: float = REACH) -> Spans:
    """All rows of one target each. Drops those under `min_steps` steps and those ending farther than `reach` from it."""
    last = np.flatnonzero(stream.ends)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    spans = Spans(first, last, {})
    spans = spans.keep(last - first >= min_steps, f"shorter than {min_steps} steps")
    away = np.linalg.norm(stream.states[spans.last, :2] - _targets(stream, spans.last), axis=1)
    return spans.keep(away <= reach + _SLACK, "target not reached")


def _targets(stream: Stream, last: np.ndarray) -> np.ndarray:
    """Where the ball went [n, 2] in the sequences that end with these rows: the goal, or its cell where it came to that.

    D4RL's goals are random points around the centres of cells, to which its controller goes.
    """
    goals = stream.arrays["infos/goal"][last]
    cells = np.round(goals)
    away = np.linalg.norm(stream.states[last, :2] - cells, axis=1, keepdims=True)
    return np.where(away <= REACH + _SLACK, cells, goals)


def window_spans(stream: Stream, horizon: int, stride: int, cross_goals: bool) -> Spans:
    """Windows of `horizon` steps (and one more row), every `stride` rows from the start of each target's rows.

    They stay inside one target's rows, or with `cross_goals` between the resets of the stream, and start there.
    """
    episode, target = (np.cumsum(ends) - ends for ends in (stream.resets, stream.ends))
    run = episode if cross_goals else target
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    first = np.arange(max(0, len(run) - horizon), dtype=np.int64)
    first = first[(first - starts[run[first]]) % stride == 0]
    spans = Spans(first, first + horizon, {})
    spans = spans.keep(episode[spans.first] == episode[spans.last], "crossing a reset")
    return spans.keep(run[spans.first] == run[spans.last], "crossing a change of target")


def block_splits(blocks: int, val_fraction: float, test_fraction: float, seed: int) -> np.ndarray:
    """The split (index into SPLITS) of each contiguous time block, int64 [blocks]: one or more for each."""
    val, test = held_out(blocks, val_fraction, test_fraction)
    splits = np.zeros(blocks, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(blocks)
    splits[order[:val]], splits[order[val : val + test]] = 1, 2
    return splits


def prepare(
    streams: Sequence[tuple[Layout, Stream]], settings: DataSettings
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, int]]]:
    """Arrays per split, and per layout how many sequences each split got and how many were dropped, and why.

    Arrays (float32 unless said): positions [N, T, 2] normalised (u / G); velocities [N, T, 2] = d position /
    d tau, tau in [0, 1]; start [N, 4] = normalised x, y and velocity in units/s; goal [N, 2] = last position;
    target [N, 2] = where the ball went, in units; duration [N] in s; layout [N] int16; first_row [N] int64;
    layouts [L] str; occupancy [L, G, G] uint8; sdf [L, R, R] in units, R = G * sdf_resolution; simulated [L] bool:
    whether the ball moved as in our simulator; flip_y bool; grid int. N is ordered by layout and time. With `flip_y`
    all of it is mirrored along y.

    Raises:
        InputError: a split is empty, or more than `left_out_fraction` of a layout's sequences are dropped.
    """
    layouts = [layout for layout, _ in streams]
    grid = max(max(layout.walls.shape) for layout in layouts)
    shares = settings.val_fraction, settings.test_fraction, settings.seed
    if settings.hold_out == "mazes":
        splits_of = block_splits(len(streams), *shares)[:, None]
    else:
        splits_of = np.tile(block_splits(settings.blocks, *shares), (len(streams), 1))
    parts: list[dict[str, np.ndarray]] = []
    counts: dict[str, dict[str, int]] = {}
    for number, (layout, stream) in enumerate(streams):
        spans = _spans(layout, stream, settings)
        part, counts[layout.name] = _sequences(layout, stream, spans, settings.frames, grid, splits_of[number])
        _check_left_out(layout, counts[layout.name], settings.left_out_fraction)
        parts.append({**part, "layout": np.full(len(part["goal"]), number, dtype=np.int16)})
    maps = _map_arrays(layouts, grid, settings.sdf_resolution)
    maps["simulated"] = np.array([stream.simulated for _, stream in streams])
    splits = {name: arrays | maps for name, arrays in _by_split(parts).items()}
    for name, data in splits.items():
        if not len(data["positions"]):
            raise InputError(
                f"split {name!r} is empty; expected more rows, fewer blocks or shorter sequences: {counts}"
            )
    return {name: mirror_y(data) if settings.flip_y else data for name, data in splits.items()}, counts


def _spans(layout: Layout, stream: Stream, settings: DataSettings) -> Spans:
    if settings.mode == "windows":
        horizon = number_for(settings.horizon, layout.name, len(layout.free_cells))
        return window_spans(stream, horizon, settings.stride, settings.cross_goals)
    return segment_spans(stream, settings.min_steps, settings.reach)


def _by_split(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    merged = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    split = merged.pop("split")
    return {name: {key: x[split == index] for key, x in merged.items()} for index, name in enumerate(SPLITS)}


def _sequences(
    layout: Layout,
    stream: Stream,
    spans: Spans,
    frames: int,
    grid: int,
    split_of_block: np.ndarray,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """One stream's resampled sequences with their split (index into SPLITS), and the counts of `prepare`."""
    blocks = len(split_of_block)
    first_block, last_block = (rows * blocks // len(stream.ends) for rows in (spans.first, spans.last))
    spans = spans.keep(first_block == last_block, "straddling a block border")
    sequences = resample(stream, spans, frames, grid)
    free: np.ndarray = ~np.any(piece_collisions(sequences["positions"], occupancy(layout, grid)), axis=1)
    sequences, spans = {key: values[free] for key, values in sequences.items()}, spans.keep(free, "leaving free space")
    split = split_of_block[spans.first * blocks // len(stream.ends)]
    counts = {name: int((split == index).sum()) for index, name in enumerate(SPLITS)}
    return {**sequences, "split": split}, counts | spans.dropped


def resample(stream: Stream, spans: Spans, frames: int, grid: int) -> dict[str, np.ndarray]:
    """The sequences' arrays of `prepare` (all but layout) for spans of one stream; `grid` is G."""
    states = stream.states
    steps = spans.last - spans.first
    rows = spans.first[:, None] + np.linspace(0.0, 1.0, frames) * steps[:, None]
    before = np.minimum(rows.astype(np.int64), spans.last[:, None] - 1)
    weight = (rows - before)[..., None]
    sampled = (1 - weight) * states[before] + weight * states[before + 1]
    duration = steps * stream.dt
    positions = ((sampled[..., :2] + OFFSET) / grid).astype(np.float32)
    return {
        "positions": positions,
        "velocities": (sampled[..., 2:] * duration[:, None, None] / grid).astype(np.float32),
        "start": np.concatenate([positions[:, 0], states[spans.first, 2:]], axis=1),
        "goal": positions[:, -1].copy(),
        "target": _targets(stream, spans.last).astype(np.float32),
        "duration": duration.astype(np.float32),
        "first_row": spans.first,
    }


def mirror_y(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One split mirrored along y (columns) inside the padded grid; twice is the identity, up to rounding."""
    mirrored = dict(data)
    for key in ("positions", "start", "goal"):
        mirrored[key] = data[key].copy()
        mirrored[key][..., 1] = 1 - mirrored[key][..., 1]
    mirrored["start"][:, 3] *= -1
    mirrored["velocities"] = data["velocities"] * np.array([1, -1], dtype=np.float32)
    mirrored["target"] = data["target"].copy()
    mirrored["target"][:, 1] = data["grid"] - 1 - mirrored["target"][:, 1]
    for key in ("occupancy", "sdf"):
        mirrored[key] = np.ascontiguousarray(data[key][..., ::-1])
    mirrored["flip_y"] = np.array(not data["flip_y"])
    return mirrored


def _map_arrays(layouts: Sequence[Layout], grid: int, resolution: int) -> dict[str, np.ndarray]:
    return {
        "layouts": np.array([layout.name for layout in layouts]),
        "occupancy": np.stack([occupancy(layout, grid) for layout in layouts]),
        "sdf": np.stack([signed_distance(layout, grid, resolution) for layout in layouts]),
        "flip_y": np.array(False),
        "grid": np.array(grid),
    }


def _check_left_out(layout: Layout, counts: Mapping[str, int], allowed: float) -> None:
    """InputError where more than the share `allowed` of a layout's sequences are of no use."""
    bad = {reason: counts.get(reason, 0) for reason in ("target not reached", "leaving free space")}
    whole = sum(counts[name] for name in SPLITS) + sum(bad.values())
    if sum(bad.values()) > allowed * whole:
        raise InputError(
            f"layout {layout.name!r}: {sum(bad.values())} of {whole} sequences are of no use ("
            f"{', '.join(f'{reason}: {count}' for reason, count in bad.items() if count)}); expected data of this very map,"
            f" rows dense enough to follow it, and ends within data.reach of their goals"
            f" (data.left_out_fraction={allowed} of them may be left out)"
        )
