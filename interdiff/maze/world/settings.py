"""Settings of the world: mazes, demonstrations, prepared sequences and the tracker."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from interdiff.maze.world.layouts import OFFSET
from interdiff.maze.world.packages.names import source_path
from interdiff.maze.world.splits import held_out
from interdiff.settings import Count, Distinct, Fraction, Name, PathText, Section


class RandomMapsSettings(Section):
    """A family of mazes drawn at random, all their free cells connected."""

    count: Count = Field(description="number of mazes")
    sides: tuple[Annotated[int, Field(ge=4)], Annotated[int, Field(ge=4)]] = Field(
        (5, 12), strict=False, description="least and greatest number of cells per side, borders included"
    )
    wall_share: tuple[Fraction, Fraction] = Field(
        (0.15, 0.5), strict=False, description="least and greatest share of inner cells to wall up"
    )
    grid: Count | None = Field(
        None, description="side of a square of wall in which each maze lies anywhere; null puts nothing around it"
    )
    seed: int = Field(0, ge=0, description="seed of the mazes")

    @model_validator(mode="after")
    def _consistent(self) -> RandomMapsSettings:
        for name in ("sides", "wall_share"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise ValueError(f"{name}=[{least}, {greatest}] must not decrease")
        if self.grid is not None and self.grid < self.sides[1]:
            raise ValueError(f"grid={self.grid} is smaller than sides={list(self.sides)}")
        return self


Map = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[RandomMapsSettings, Tag("[family]")],
    Discriminator(lambda value: "[text]" if isinstance(value, str) else "[family]"),
]
"""Pydantic reports the problems of the kind that was meant alone; the tags' brackets keep them out of the keys."""


class LayoutSettings(Section):
    """One maze, or a family of mazes, and the demonstrations."""

    map: Map = Field(
        description="a D4RL name (umaze, medium, large, *_eval), an ASCII map of '#', 'O' and 'G', or a random family"
    )
    rows: Count = Field(100_000, description="rows (steps of 0.01 s) of demonstrations to simulate, in each maze")
    seed: int = Field(0, ge=0, description="seed of targets, start and action noise")
    noise: float = Field(0.5, ge=0, description="standard deviation of the action noise (0.5 is D4RL's)")
    source: PathText | None = Field(
        None,
        description="file to use instead of simulating: D4RL's or Minari's HDF5, or OGBench's npz; or with the package d4rl,"
        " minari or ogbench the name of a data set: maze2d-large-v1, D4RL/pointmaze/large-v2, pointmaze-giant-navigate-v0",
    )
    dt: float | None = Field(
        None,
        gt=0,
        description="seconds between rows of source; null takes the file's attribute dt, else 0.01 (OGBench: 0.1)",
    )
    origin: tuple[float, float] = Field(
        (-OFFSET, -OFFSET), strict=False, description="where the corner of the map lies in a D4RL file's coordinates"
    )

    @field_validator("source")
    @classmethod
    def _named(cls, source: str | None) -> str | None:
        return source_path(source) if source else source

    @model_validator(mode="after")
    def _about_source(self) -> LayoutSettings:
        # By value: what a job is told names every key.
        own = LayoutSettings.model_fields
        if self.source is None and any(getattr(self, key) != own[key].default for key in ("dt", "origin")):
            raise ValueError("dt and origin are about source, which is null: what is simulated has its own")
        return self


class DataSettings(Section):
    """Prepared data: sequences of `frames` points from the demonstrations."""

    layouts: Distinct[Name] = Field(
        ["umaze", "medium", "large"],
        min_length=1,
        description="layouts to take, in this order",
    )
    improved_by: Name | None = Field(
        None, description="variant whose planner made the demonstrations (improved/VARIANT/); null: the simulated ones"
    )
    frames: int = Field(128, ge=2, description="T, points per sequence")
    mode: Literal["segments", "windows"] = Field(
        "segments", description="goal-to-goal segments resampled to T, or windows of fixed horizon"
    )
    horizon: Count | dict[Name, Count] = Field(
        128,
        description="steps per window (windows), one number or some by layout; others: that of the D4RL map nearest in size",
    )
    stride: Count = Field(16, description="steps from one window to the next (mode windows)")
    cross_goals: bool = Field(False, description="allow windows that cross a change of goal (mode windows)")
    min_steps: int = Field(16, ge=2, description="shorter segments are left out (mode segments)")
    val_fraction: float = Field(0.05, gt=0, lt=1, description="share of the time blocks (or mazes) for validation")
    test_fraction: float = Field(0.10, gt=0, lt=1, description="share of the time blocks (or mazes) for the test split")
    blocks: int = Field(20, ge=3, description="time blocks per layout that the splits are drawn from")
    hold_out: Literal["blocks", "mazes"] = Field(
        "blocks", description="what the splits are made of: time blocks of every maze, or whole mazes (the same shares)"
    )
    seed: int = Field(0, ge=0, description="seed of that draw")
    reach: float = Field(
        0.1, gt=0, description="units from its target within which a segment must end; it is left out otherwise"
    )
    left_out_fraction: Fraction = Field(
        0.1,
        description="share of a layout's sequences that may be left out, as they leave free space or end off their target;"
        " more is an error",
    )
    flip_y: bool = Field(False, description="mirror everything along y")
    sdf_resolution: Count = Field(8, description="signed-distance samples per cell and axis")

    @model_validator(mode="after")
    def _some_to_train_on(self) -> DataSettings:
        if self.hold_out == "blocks":
            held_out(self.blocks, self.val_fraction, self.test_fraction)
        return self


class SimulatedMazeSettings(Section):
    """A maze to simulate demonstrations in."""

    map: Map = Field(description="as in layouts")
    noise: float = Field(ge=0, description="as in layouts")


class TrackerSettings(Section):
    """The controller that follows plans, the same for every planner."""

    p_gain: float = Field(10.0, ge=0, description="action per unit of position error")
    d_gain: float = Field(1.0, ge=0, description="action per unit/s of velocity error")
    feed_forward: bool = Field(True, description="add the action that the reference's acceleration takes")
