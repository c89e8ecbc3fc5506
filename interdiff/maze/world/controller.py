"""D4RL's data-collecting controller and its generator: one continuous stream of noisy goal-to-goal
navigation.

Follows d4rl/pointmaze/waypoint_controller.py, q_iteration.py and
scripts/generation/generate_maze2d_datasets.py with `--noisy` (noise 0.5), which is how the released v1 data
was made. Cells are (row, col) integers in joint coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from math import hypot

import numpy as np

from interdiff.errors import InputError
from interdiff.maze.world.layouts import Layout, cell_distances
from interdiff.maze.world.simulator import GOAL_RADIUS, PointMaze

NOISE = 0.5
"""Standard deviation of the action noise in the released data."""

_P_GAIN, _D_GAIN = 10.0, -1.0
_REACHED = 0.1
_JITTER = 0.2
_MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))
_STEPS_PER_CELL = 100
_BLOCK = 10_000

_State = tuple[float, float, float, float]


def route(layout: Layout, start: tuple[int, int], target: tuple[int, int]) -> list[tuple[int, int]]:
    """The cells after `start` on D4RL's greedy route to `target`, which ends it; only `target` where they are
    equal.

    D4RL runs q-iteration (reward 1 on the target, discount < 1) and takes the first best of no-op, up, down,
    left and right: off the target that is the first move, in this order, to a cell nearer to the target.
    Raises InputError where there is no route.
    """
    distances = cell_distances(layout.walls, target)
    cells = []
    cell = start
    while cell != target:
        near = {(cell[0] + dr, cell[1] + dc): distances[cell[0] + dr, cell[1] + dc] for dr, dc in _MOVES}
        cell = min(near, key=near.__getitem__)
        if not np.isfinite(near[cell]):
            raise InputError(f"map {layout.name!r}: no route from cell {start} to cell {target}")
        cells.append(cell)
    return cells or [target]


class WaypointController:
    """A PD controller over waypoints jittered by `rng`, re-planned when the target's cell changes."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._rng = rng
        self._route = cache(lambda start, target: route(layout, start, target))
        self._target: tuple[int, int] | None = None
        self._waypoints: list[tuple[float, float]] = []
        self._index = 0
        self._previous = (0.0, 0.0)

    def act(self, state: _State, target: tuple[float, float]) -> tuple[float, float, bool]:
        """The action in [-1, 1]^2 for a state, and whether the state is within 0.1 of the target's cell."""
        x, y, vx, vy = state
        cell = (round(target[0]), round(target[1]))
        if cell != self._target:
            self._plan((round(x), round(y)), cell)
        slow = hypot(self._previous[0] - x, self._previous[1] - y) < _REACHED
        solved = slow and hypot(x - cell[0], y - cell[1]) < _REACHED
        goal_x, goal_y = cell if solved else self._waypoints[self._index]
        if not solved and slow and hypot(x - goal_x, y - goal_y) < _REACHED:
            self._index += 1
        self._previous = (x, y)
        action_x = _P_GAIN * (goal_x - x) + _D_GAIN * vx
        action_y = _P_GAIN * (goal_y - y) + _D_GAIN * vy
        return min(max(action_x, -1.0), 1.0), min(max(action_y, -1.0), 1.0), solved

    def _plan(self, start: tuple[int, int], target: tuple[int, int]) -> None:
        cells = self._route(start, target)
        jitter = self._rng.uniform(0, _JITTER, (len(cells), 2)).tolist()
        jitter[-1] = (0.0, 0.0)
        self._waypoints = [(row - dx, col - dy) for (row, col), (dx, dy) in zip(cells, jitter, strict=True)]
        self._index = 0
        self._previous = start
        self._target = target


def generate(
    layout: Layout,
    rows: int,
    seed: int,
    noise: float = NOISE,
    progress: Callable[[int], object] | None = None,
) -> dict[str, np.ndarray]:
    """One stream of `rows` rows under the names of D4RL's HDF5 files.

    A row is written before its step. When the target's cell is reached, only the target changes; the ball
    moves on, and the next row repeats the last observation while infos/qpos and infos/qvel are current, as in
    D4RL. `timeouts` marks the rows that reached their target. rewards[t] belongs to observations[t]: 1 within
    0.5 of the map's goal (of its first free cell where it marks none). `progress` is called with the number
    of new rows about every 10,000 rows.
    """
    rng = np.random.default_rng(seed)
    columns = np.empty((rows, 13), dtype=np.float32)
    block: list[tuple[float, ...]] = []
    done_rows = 0
    for row in _stream(layout, rows, rng, noise):
        block.append(row)
        if len(block) == _BLOCK or done_rows + len(block) == rows:
            columns[done_rows : done_rows + len(block)] = block
            done_rows += len(block)
            if progress is not None:
                progress(len(block))
            block.clear()
    goal = layout.goal or layout.free_cells[0]
    rewards = np.linalg.norm(columns[:, :2] - np.array(goal, dtype=np.float32), axis=1) <= GOAL_RADIUS
    return {
        "observations": columns[:, 0:4].copy(),
        "actions": columns[:, 4:6].copy(),
        "rewards": rewards.astype(np.float32),
        "terminals": np.zeros(rows, dtype=bool),
        "timeouts": columns[:, 12] > 0,
        "infos/goal": columns[:, 6:8].copy(),
        "infos/qpos": columns[:, 8:10].copy(),
        "infos/qvel": columns[:, 10:12].copy(),
    }


def resimulate(
    layout: Layout,
    start_state: np.ndarray,
    target: tuple[float, float],
    rng: np.random.Generator,
    n: int,
    noise: float = NOISE,
) -> list[np.ndarray]:
    """`n` fresh demonstrations, each float64 [steps, 4], from the same start state [4] to the same target,
    both ends included.

    They differ in waypoint jitter and action noise only. Raises InputError where the target is not reached.
    """
    maze = PointMaze(layout)
    limit = _STEPS_PER_CELL * len(layout.free_cells)
    demonstrations = []
    for _ in range(n):
        controller = WaypointController(layout, rng)
        maze.reset(start_state[:2], start_state[2:])
        x, y, vx, vy = map(float, start_state)
        states = [(x, y, vx, vy)]
        draws = _noise_pairs(rng, noise, block=256)
        while len(states) <= limit:
            action_x, action_y, solved = controller.act(states[-1], target)
            if solved:
                break
            noise_x, noise_y = next(draws)
            states.append(maze.advance(action_x + noise_x, action_y + noise_y))
        else:
            raise InputError(
                f"map {layout.name!r}: target {target} not reached from {start_state} within {limit} steps"
            )
        demonstrations.append(np.array(states))
    return demonstrations


def _stream(layout: Layout, rows: int, rng: np.random.Generator, noise: float) -> Iterator[tuple[float, ...]]:
    """Rows (observation 4, action 2, target 2, simulated state 4, target reached) of one continuous run."""
    cells = layout.free_cells
    maze = PointMaze(layout)
    controller = WaypointController(layout, rng)
    target = _near_cell(cells, rng)
    current = tuple(maze.reset(_near_cell(cells, rng), rng.normal(0, 0.1, 2)).tolist())
    observation = current
    limit = _STEPS_PER_CELL * len(cells)
    draws = _noise_pairs(rng, noise, _BLOCK)
    steps = 0
    for _ in range(rows):
        action_x, action_y, solved = controller.act(observation, target)
        noise_x, noise_y = next(draws)
        action_x = min(max(action_x + noise_x, -1.0), 1.0)
        action_y = min(max(action_y + noise_y, -1.0), 1.0)
        yield (*observation, action_x, action_y, *target, *current, solved)
        current = maze.advance(action_x, action_y)
        steps += 1
        if solved or steps > limit:
            target = _near_cell(cells, rng)
            steps = 0
        else:
            observation = current


def _near_cell(cells: list[tuple[int, int]], rng: np.random.Generator) -> tuple[float, float]:
    row, col = cells[rng.integers(len(cells))]
    dx, dy = rng.uniform(-0.1, 0.1, 2).tolist()
    return row + dx, col + dy


def _noise_pairs(rng: np.random.Generator, noise: float, block: int) -> Iterator[list[float]]:
    """Endless pairs of action noise, drawn in blocks."""
    while True:
        yield from rng.normal(0.0, noise, (block, 2)).tolist()
