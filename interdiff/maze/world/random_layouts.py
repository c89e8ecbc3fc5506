"""Mazes drawn at random: walls put on free cells in random order, as long as all that stay free are connected."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import label

from interdiff.maze.world.layouts import Layout, load_layout
from interdiff.maze.world.settings import RandomMapsSettings


def random_layouts(settings: RandomMapsSettings, name: str) -> list[Layout]:
    """The family's mazes, called `name`-0, `name`-1, ...; the same settings give the same mazes."""
    rng = np.random.default_rng(settings.seed)
    return [random_layout(f"{name}-{n}", settings, rng) for n in range(settings.count)]


def family(name: str) -> str:
    """The family of a maze by its name; a single maze is its own."""
    return name.partition("-")[0]


def mazes(drawn: Mapping[str, str | RandomMapsSettings]) -> dict[str, Layout]:
    """All mazes by name: single ones, drawn or by name, and those of families."""
    each = (
        [load_layout(map_, name)] if isinstance(map_, str) else random_layouts(map_, name)
        for name, map_ in drawn.items()
    )
    return {layout.name: layout for layouts in each for layout in layouts}


def random_layout(name: str, settings: RandomMapsSettings, rng: np.random.Generator) -> Layout:
    """One maze with a random goal; where connectedness forbids the share of walls that was drawn, it has fewer."""
    least, greatest = settings.sides
    rows, cols = rng.integers(least, greatest + 1, size=2)
    walls = np.pad(np.zeros((rows - 2, cols - 2), dtype=bool), 1, constant_values=True)
    cells = rng.permutation(np.argwhere(~walls))
    left = round(rng.uniform(*settings.wall_share) * len(cells))
    for row, col in cells:
        if not left:
            break
        walls[row, col] = True
        if _connected(walls):
            left -= 1
        else:
            walls[row, col] = False
    if settings.grid is not None:
        before = [rng.integers(settings.grid - side + 1) for side in (rows, cols)]
        around = [(n, settings.grid - side - n) for n, side in zip(before, (rows, cols), strict=True)]
        walls = np.pad(walls, around, constant_values=True)
    free = np.argwhere(~walls)
    goal = free[rng.integers(len(free))]
    return Layout(name, walls, (int(goal[0]), int(goal[1])))


def largest_side(drawn: str | RandomMapsSettings, name: str) -> int:
    """The most cells per side of a maze, drawn or by name, or of a family's."""
    if isinstance(drawn, str):
        return max(load_layout(drawn, name).walls.shape)
    return drawn.grid or drawn.sides[1]


def _connected(walls: np.ndarray) -> bool:
    return bool(label(~walls)[1] == 1 and np.count_nonzero(~walls) > 1)
