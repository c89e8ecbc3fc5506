"""Maze layouts: ASCII maps, occupancy and the signed distance to the true (shifted) wall boxes.

Grid coordinates are u = qpos + 0.7: D4RL puts the wall box of cell (r, c) at world (r + 1, c + 1) with
half-size 0.5 and the ball's origin at world 1.2, so that in u the cell is exactly [r, r + 1) x [c, c + 1). x
runs along rows, y along columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from interdiff.errors import InputError

OFFSET = 0.7
"""Grid coordinates minus joint positions (qpos), in cells, which are world units."""

MAPS = {
    "umaze": "#####\\#GOO#\\###O#\\#OOO#\\#####",
    "medium": "########\\#OO##OO#\\#OO#OOO#\\##OOO###\\#OO#OOO#\\#O#OO#O#\\#OOO#OG#\\########",
    "large": (
        "############\\#OOOO#OOOOO#\\#O##O#O#O#O#\\#OOOOOO#OOO#\\#O####O###O#\\"
        "#OO#O#OOOOO#\\##O#O#O#O###\\#OO#OOO#OGO#\\############"
    ),
    "umaze_eval": "#####\\#OOG#\\#O###\\#OOO#\\#####",
    "medium_eval": "########\\#OOOOOG#\\#O#O##O#\\#OOOO#O#\\###OO###\\#OOOOOO#\\#OO##OO#\\########",
    "large_eval": (
        "############\\#OO#OOO#OGO#\\##O###O#O#O#\\#OO#O#OOOOO#\\#O##O#OO##O#\\"
        "#OOOOOO#OOO#\\#O##O#O#O###\\#OOOO#OOOOO#\\############"
    ),
}
"""The maps of D4RL's Maze2D (pointmaze/maze_model.py)."""

_WALL, _GOAL, _FREE = "#", "G", "O 0"


@dataclass(frozen=True, eq=False)
class Layout:
    """One maze: its name, walls [rows, cols] (True = wall) and the fixed goal's cell, if there is one."""

    name: str
    walls: np.ndarray
    goal: tuple[int, int] | None

    @property
    def free_cells(self) -> list[tuple[int, int]]:
        """Free cells (row, col), sorted."""
        return [(int(row), int(col)) for row, col in np.argwhere(~self.walls)]

    @property
    def ascii(self) -> str:
        """The map in D4RL's notation, rows separated by a backslash."""
        rows = [[_WALL if wall else "O" for wall in row] for row in self.walls]
        if self.goal is not None:
            rows[self.goal[0]][self.goal[1]] = _GOAL
        return "\\".join("".join(row) for row in rows)


def load_layout(map_or_name: str, name: str | None = None) -> Layout:
    """The D4RL map of this name, or the ASCII map given, called `name` (by default the map's name, or
    "custom").

    Raises InputError for a name that is not known and for everything that parse_layout refuses.
    """
    if map_or_name in MAPS:
        return parse_layout(name or map_or_name, MAPS[map_or_name])
    if _WALL not in map_or_name:
        raise InputError(f"map {map_or_name!r}: expected an ASCII map of '#' and 'O', or one of {', '.join(MAPS)}")
    return parse_layout(name or "custom", map_or_name)


def number_for(numbers: int | Mapping[str, int], name: str, free_cells: int) -> int:
    """One number for all layouts, or that of a layout by its name, else of the D4RL map nearest in number of free cells.

    Raises:
        InputError: there is none of these.
    """
    if isinstance(numbers, int):
        return numbers
    if name in numbers:
        return numbers[name]
    sizes = {known: len(load_layout(known).free_cells) for known in numbers if known in MAPS}
    if not sizes:
        raise InputError(f"no number for layout {name!r} or a map of D4RL's among {', '.join(numbers)}")
    return numbers[nearest_in_size(free_cells, sizes)]


def nearest_in_size(free_cells: int, sizes: Mapping[str, int]) -> str:
    """The layout, of some by their number of free cells, that is nearest in it; the first by name of several."""
    return min(sizes, key=lambda name: (abs(sizes[name] - free_cells), name))


def parse_layout(name: str, ascii_map: str, connected: bool = True) -> Layout:
    """Reads a map whose rows are separated by a backslash or a newline ('#' wall, 'O', ' ' or '0' free, 'G'
    free and the goal).

    The outside of a map is wall, but physics has no box there: a map whose border is open is refused rather
    than closed silently. Raises InputError for unknown characters, ragged rows, fewer than two free cells,
    two goals, an open border and, if it is to be `connected`, cells cut off.
    """
    rows = [row.strip("\r\n") for row in ascii_map.strip("\r\n").replace("\\", "\n").split("\n")]
    _check_characters(name, rows)
    cells = np.array([list(row) for row in rows])
    walls = cells == _WALL
    goals = [(int(row), int(col)) for row, col in np.argwhere(cells == _GOAL)]
    if len(goals) > 1:
        raise InputError(f"map {name!r}: expected at most one goal 'G', found {len(goals)}: {goals}")
    layout = Layout(name, walls, goals[0] if goals else None)
    _check_cells(layout)
    if connected:
        _check_connected(layout)
    return layout


def occupancy(layout: Layout, grid: int) -> np.ndarray:
    """Walls on a padded square grid: uint8 [grid, grid], 1 = wall; the padding is wall."""
    rows, cols = layout.walls.shape
    if max(rows, cols) > grid:
        raise InputError(f"map {layout.name!r}: {rows} x {cols} cells do not fit a grid of {grid} x {grid}")
    padded = np.ones((grid, grid), dtype=np.uint8)
    padded[:rows, :cols] = layout.walls
    return padded


def far(grid: int) -> int:
    """Steps between cells of a square grid that no way joins: more than any way has.

    Trained networks know 255 from grids of up to 16 x 16.
    """
    return max(255, grid**2 - 1)


def cell_steps(walls: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Steps over adjoining free cells: walls [G, G], cells [N] as row * G + column -> int32 [N, G * G], `far` without a way."""
    free, none = walls == 0, far(len(walls))
    rows, cols = np.divmod(cells, len(walls))
    reached = np.full((len(rows), *walls.shape), none, dtype=np.int32)
    front = np.zeros((len(rows), *(side + 2 for side in walls.shape)), dtype=bool)
    front[np.arange(len(rows)), rows + 1, cols + 1] = free[rows, cols]
    inner = front[:, 1:-1, 1:-1]
    for distance in range(none):
        if not inner.any():
            break
        reached[inner] = distance
        beside = front[:, :-2, 1:-1] | front[:, 2:, 1:-1] | front[:, 1:-1, :-2] | front[:, 1:-1, 2:]
        inner[:] = beside & free & (reached == none)
    return reached.reshape(len(rows), walls.size)


def signed_distance(layout: Layout, grid: int, resolution: int) -> np.ndarray:
    """Exact signed distance to walls in world units: float32 [R, R] with R = grid * resolution.

    Sampled at u = (i + 0.5) / resolution. Positive in free space (to the nearest wall box, everything outside
    the map being wall), negative inside walls (minus the distance to the nearest free cell).
    """
    padded = np.pad(occupancy(layout, grid).astype(bool), 1, constant_values=True)
    centres = (np.arange(grid * resolution) + 0.5) / resolution
    to_wall = _distance_to_cells(centres, np.argwhere(padded) - 1)
    to_free = _distance_to_cells(centres, np.argwhere(~padded) - 1)
    return (to_wall - to_free).astype(np.float32)


def _distance_to_cells(centres: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Distance [R, R] from every pair of coordinates to the nearest unit box of `cells` [n, 2]."""
    gaps = np.maximum(np.maximum(cells.T[:, :, None] - centres, centres - cells.T[:, :, None] - 1), 0) ** 2
    nearest = np.full((len(centres), len(centres)), np.inf)
    for gap_x, gap_y in zip(gaps[0], gaps[1], strict=True):
        np.minimum(nearest, gap_x[:, None] + gap_y[None, :], out=nearest)
    return np.sqrt(nearest)


def _check_characters(name: str, rows: list[str]) -> None:
    unknown = sorted(set("".join(rows)) - set(_WALL + _GOAL + _FREE))
    if unknown:
        raise InputError(f"map {name!r}: unknown characters {unknown}; expected '#', 'O', ' ', '0' or 'G'")
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise InputError(f"map {name!r}: rows must have one length, found {lengths}")


def _check_cells(layout: Layout) -> None:
    free = layout.free_cells
    if not free:
        raise InputError(f"map {layout.name!r}: no free cell")
    if len(free) < 2:
        raise InputError(f"map {layout.name!r}: expected at least 2 free cells, found {free}")
    rows, cols = layout.walls.shape
    open_border = [cell for cell in free if cell[0] in (0, rows - 1) or cell[1] in (0, cols - 1)]
    if open_border:
        raise InputError(f"map {layout.name!r}: the border must be all '#', cell {open_border[0]} is free")


def _check_connected(layout: Layout) -> None:
    start = layout.goal or layout.free_cells[0]
    reached = cell_distances(layout.walls, start)
    cut_off = [cell for cell in layout.free_cells if not np.isfinite(reached[cell])]
    if cut_off:
        raise InputError(f"map {layout.name!r}: cell {cut_off[0]} cannot be reached from cell {start}")


def cell_distances(walls: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Steps over adjoining free cells from `start` to each cell, inf where there is no way: [rows, cols]."""
    distances = np.full(walls.shape, np.inf)
    distances[start] = 0
    queue = deque([start])
    while queue:
        row, col = queue.popleft()
        for cell in ((row, col - 1), (row, col + 1), (row - 1, col), (row + 1, col)):
            inside = 0 <= cell[0] < walls.shape[0] and 0 <= cell[1] < walls.shape[1]
            if inside and not walls[cell] and np.isinf(distances[cell]):
                distances[cell] = distances[row, col] + 1
                queue.append(cell)
    return distances
