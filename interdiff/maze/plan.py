"""Plans in mazes of one's own, by a planner from one folder: no data, no configuration.

    python -m interdiff.maze.plan examples/maze.txt --start 1,1 --goal 7,9 plan.png

N plans, T points, K keyframes. Positions are in cells, (row, column), with whole numbers at cells' centres.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from interdiff.errors import InputError, command
from interdiff.files import read_json
from interdiff.learning import draws
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.settings import PlannerSettings
from interdiff.maze.planner.timed_planner import TimedPlanner, load_timed_planner
from interdiff.maze.world.collisions import piece_collisions
from interdiff.maze.world.layouts import OFFSET, Layout, cell_distances, occupancy, parse_layout
from interdiff.maze.world.paths import at_equal_times
from interdiff.maze.world.simulator import TIMESTEP
from interdiff.settings import validated

PRETRAINED = Path(__file__).parents[2] / "pretrained" / "maze"
PLANNER = "planner.json"
CENTRE = 0.5
"""Grid coordinates of a cell's centre minus its row and column."""


@dataclass(frozen=True)
class Plan:
    """N ways from start to goal, as fast as the ball's motors allow.

    positions [N, T, 2] in cells at times [N, T] in seconds, keyframes [N, K, 2] of phase 1 in cells, collisions [N]: pieces
    between neighbouring positions that leave free space, free [N] bool: whether none does. A plan that is not free is what
    the planner was left with after all its candidates.
    """

    positions: np.ndarray
    times: np.ndarray
    keyframes: np.ndarray
    collisions: np.ndarray
    free: np.ndarray


@dataclass(frozen=True)
class MazePlanner:
    """Both phases of a trained planner, for any maze that fits its grid."""

    two_phase: TimedPlanner

    def plan(
        self, maze: str | np.ndarray, start: tuple[float, float], goal: tuple[float, float], n: int = 1, seed: int = 0
    ) -> Plan:
        """Ways through a maze; each is the best of the planner's candidates, `free` or marked as not.

        Args:
            maze: rows of '#' (wall) and ' ', 'O' or '0' (free) as lines of text, or an array [rows, columns], nonzero where
                wall is; its border is wall.
            start, goal: (row, column) of a cell, or of a place in one.
            n: number of plans, from different noise.

        Raises:
            InputError: the maze is none or larger than the planner's grid, start or goal lie in a wall, or no way joins them.
        """
        layout = _layout(maze, start, goal)
        states = np.tile([*_joint(start), 0.0, 0.0], (n, 1))
        goals = np.tile(_joint(goal), (n, 1))
        generator = draws.generator_of(seed)
        traced = self.two_phase.traced(layout, states, goals, generator)
        frames, cells = self.two_phase.prepared.frames, self.two_phase.prepared.cells
        positions, times = zip(*(_resampled(plan.reference.positions, frames) for plan in traced), strict=True)
        hits = piece_collisions((np.stack(positions) + OFFSET) / cells, occupancy(layout, cells))
        return Plan(
            np.stack(positions) + OFFSET - CENTRE,
            np.stack(times),
            np.stack([plan.keyframes for plan in traced]) + OFFSET - CENTRE,
            hits.sum(1),
            ~hits.any(1) & np.array([plan.free for plan in traced]),
        )


def load_planner(folder: str | Path = PRETRAINED, device: str = "cpu") -> MazePlanner:
    """A planner from the folder of its four networks and `planner.json`.

    Raises:
        InputError: a file is missing, damaged or of something else (names it).
    """
    folder = Path(folder)
    settings = validated(PlannerSettings, read_json(folder / PLANNER), str(folder / PLANNER))
    sizes = _no_data(settings.frames, settings.cells, settings.sdf_resolution, torch.device(device))
    return MazePlanner(load_timed_planner(folder.joinpath, sizes, settings.planner, settings.sampling, "two_phase"))


def _no_data(frames: int, cells: int, resolution: int, device: torch.device) -> Prepared:
    """Data without rows, which says how long sequences and how large maps are."""
    nothing = torch.zeros(0, device=device)
    return Prepared(
        states=nothing.view(0, 1, 1).expand(0, frames, 4),
        start=nothing.view(0, 1).expand(0, 4),
        goal=nothing.view(0, 1).expand(0, 2),
        layout=nothing.long(),
        occupancy=torch.zeros(1, cells, cells, device=device),
        sdf=torch.zeros(1, cells * resolution, cells * resolution, device=device),
        steps=nothing.view(0, 1).expand(0, cells**2),
        ends=nothing.long().view(0, 1).expand(0, 2),
        layouts=[],
    )


def _layout(maze: str | np.ndarray, start: tuple[float, float], goal: tuple[float, float]) -> Layout:
    """The maze as a layout, in which cells that the start's do not reach are wall."""
    text = maze if isinstance(maze, str) else "\n".join("".join("#" if x else "O" for x in row) for row in maze)
    layout = parse_layout("yours", text, connected=False)
    rows, columns = layout.walls.shape
    cells = []
    for name, place in (("start", start), ("goal", goal)):
        row, column = (int(np.floor(x + CENTRE)) for x in place)
        if not (0 <= row < rows and 0 <= column < columns):
            raise InputError(f"{name} {place}: outside of the maze of {rows} x {columns} cells")
        if layout.walls[row, column]:
            raise InputError(f"{name} {place}: cell ({row}, {column}) is wall")
        cells.append((row, column))
    steps = cell_distances(layout.walls, cells[0])
    if not np.isfinite(steps[cells[1]]):
        raise InputError(f"goal {goal}: no way leads there from start {start}")
    return Layout(layout.name, ~np.isfinite(steps), layout.goal)


def _joint(place: tuple[float, float]) -> np.ndarray:
    return np.asarray(place, dtype=float) + CENTRE - OFFSET


def _resampled(rows: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n, 2], one every 0.01 s, at `frames` equally spaced times: [T, 2], and these times [T]."""
    return at_equal_times(rows, frames), np.linspace(0, (len(rows) - 1) * TIMESTEP, frames)


@command
def main() -> int:
    """Read a maze, plan, and draw or print the plan."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.maze.plan", description=__doc__)
    parser.add_argument("maze", type=Path, help="text file: rows of '#' (wall) and ' ', 'O' or '0' (free)")
    parser.add_argument("picture", type=Path, nargs="?", help="PNG to draw (default: none)")
    for name in ("start", "goal"):
        parser.add_argument(f"--{name}", type=_place, required=True, metavar="ROW,COLUMN", help=f"cell of the {name}")
    parser.add_argument("--planner", type=Path, default=PRETRAINED, metavar="FOLDER", help="default: pretrained/maze")
    parser.add_argument("--n", type=int, default=1, help="number of plans (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default: 0)")
    arguments = parser.parse_intermixed_args()
    maze = _read(arguments.maze)
    plan = load_planner(arguments.planner).plan(maze, arguments.start, arguments.goal, arguments.n, arguments.seed)
    for number, (times, hits, free) in enumerate(zip(plan.times, plan.collisions, plan.free, strict=True)):
        found = "free" if free else f"goes through a wall: {hits} of {len(times) - 1} pieces leave free space"
        print(f"plan {number}: {times[-1]:.2f} s, {found}")
    if arguments.picture:
        from interdiff.maze.figures.plans import draw_plans

        draw_plans(maze, plan.positions, plan.keyframes, arguments.picture)
    return 0


def _place(text: str) -> tuple[float, float]:
    row, column = text.split(",")
    return float(row), float(column)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
