"""Prepared trajectories as tensors, drawn in groups of one layout each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.learning import draws
from interdiff.learning.processes import parts
from interdiff.maze.planner.conditions import iterated_steps, steps_from_ends
from interdiff.maze.planner.networks import Condition
from interdiff.maze.world.random_layouts import family

FEWEST_PER_LAYOUT = 2
"""Sequences of a layout in a training batch, if there are more layouts than that leaves room for."""
FIELDS = ("positions", "velocities", "start", "goal", "layout", "layouts", "occupancy", "sdf")


@dataclass(frozen=True)
class Prepared:
    """A split of prepared data on one device.

    states [N, T, 4] normalised positions and d position / d tau, start [N, 4], goal [N, 2], layout [N] int64 (sorted),
    occupancy [L, G, G], sdf [L, R, R], steps [P, G * G] to every cell from those where sequences begin or end, ends [N, 2]:
    rows of `steps` for start and goal, layouts: their names.
    """

    states: Tensor
    start: Tensor
    goal: Tensor
    layout: Tensor
    occupancy: Tensor
    sdf: Tensor
    steps: Tensor
    ends: Tensor
    layouts: list[str]

    @property
    def frames(self) -> int:
        return self.states.shape[1]

    @property
    def device(self) -> torch.device:
        return self.states.device

    @property
    def cells(self) -> int:
        return self.occupancy.shape[-1]

    def world_positions(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Positions [.., T, 2] in world units, the unit of segment costs."""
        return self.states[rows][..., :2] * self.cells

    @property
    def all_rows(self) -> Tensor:
        return torch.arange(len(self.states), device=self.states.device)

    def subset(self, rows: Tensor) -> Prepared:
        """The given rows alone; the maps stay."""
        of_rows = ("states", "start", "goal", "layout", "ends")
        return replace(self, **{name: getattr(self, name)[rows] for name in of_rows})

    @cached_property
    def _places(self) -> dict[int, range]:
        """The rows of each layout that has some; known once, so that no step waits for the device to count them."""
        layouts, counts = torch.unique_consecutive(self.layout, return_counts=True)
        ends = counts.cumsum(0).tolist()
        return dict(zip(layouts.tolist(), map(range, [0, *ends[:-1]], ends), strict=True))

    @property
    def occurring(self) -> list[int]:
        """The layouts that have rows; of a family of mazes, the others may be in another split."""
        return list(self._places)

    def rows_of(self, layout: int) -> Tensor:
        rows = self._places.get(layout, range(0))
        return torch.arange(rows.start, rows.stop, device=self.device)

    @cached_property
    def families(self) -> dict[str, list[int]]:
        """The layouts that have rows by the names of their families, each of which is one row of a table."""
        layouts: dict[str, list[int]] = {}
        for layout in self.occurring:
            layouts.setdefault(family(self.layouts[layout]), []).append(layout)
        return layouts

    def rows_of_family(self, name: str) -> Tensor:
        return torch.cat([self.rows_of(layout) for layout in self.families[name]])

    def first_rows(self, name: str, count: int) -> Tensor:
        """Up to `count` rows of a family: a single maze's first ones, else the first one of each maze."""
        layouts = self.families[name]
        if len(layouts) == 1:
            return self.rows_of(layouts[0])[:count]
        return torch.cat([self.rows_of(layout)[:1] for layout in layouts[:count]])

    def groups(self, batch_size: int) -> int:
        """How many layouts there are in `random_rows`."""
        return min(len(self.occurring), max(1, batch_size // FEWEST_PER_LAYOUT))

    def random_rows(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Rows with replacement, equally many of every layout, ordered by layout; about `batch_size` in all.

        Of many layouts, some are drawn each time.

        Raises:
            InputError: processes and micro-batches cannot share a layout's rows equally.
        """
        layouts, groups = self.occurring, self.groups(batch_size)
        if len(layouts) > groups:
            drawn = draws.order(len(layouts), generator)[:groups].sort()[0]
            layouts = [layouts[n] for n in drawn.tolist()]
        per_layout = max(1, batch_size // len(layouts))
        if per_layout % parts():
            raise InputError(
                f"training.batch_size={batch_size}: {per_layout} sequences per layout, expected a multiple of the"
                f" {parts()} parts (processes times training.accumulate)"
            )
        rows = [self._places[layout] for layout in layouts]
        return torch.cat([r.start + draws.integers(len(r), (per_layout,), generator, self.device) for r in rows])

    def condition(self, rows: Tensor, groups: int | None = None) -> Condition:
        """The condition of rows that are ordered by layout, equally many of each layout that occurs.

        groups: how many layouts these are, where it is known; else whoever asks waits for the device to count them.
        """
        each = self.layout[rows]
        layouts = torch.unique_consecutive(each) if groups is None else each[:: len(each) // groups]
        steps = self.steps[self.ends[rows]]
        return Condition(self.occupancy[layouts], self.sdf[layouts], steps, self.start[rows], self.goal[rows])

    def with_iterated_steps(self) -> Prepared:
        """The same with steps found by value iteration on the maps, whatever it was given."""
        steps = iterated_steps(self.occupancy, self.layout, self.start, self.goal)
        ends = torch.arange(2 * len(steps), device=self.device).view(-1, 2)
        return replace(self, steps=steps.flatten(0, 1), ends=ends)

    def chunks(self, size: int) -> list[Tensor]:
        """All rows in order, in chunks of one layout each."""
        return [c for layout in self.occurring for c in self.rows_of(layout).split(size)]


def load_prepared(path: Path, device: torch.device) -> Prepared:
    """Read a split written by the prepare stage."""
    arrays = load_arrays(path, FIELDS)

    def tensor(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(arrays[name], dtype=dtype, device=device)

    walls, layout, start, goal = tensor("occupancy"), tensor("layout", torch.int64), tensor("start"), tensor("goal")
    steps, ends = steps_from_ends(walls, layout, start, goal)
    return Prepared(
        states=torch.cat([tensor("positions"), tensor("velocities")], dim=-1),
        start=start,
        goal=goal,
        layout=layout,
        occupancy=walls,
        sdf=tensor("sdf"),
        steps=steps,
        ends=ends,
        layouts=[str(name) for name in arrays["layouts"]],
    )
