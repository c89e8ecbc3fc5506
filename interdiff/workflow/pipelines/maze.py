"""The maze pipeline: its configuration, put together, and its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from interdiff.errors import InputError
from interdiff.keyframes.gaps import nests
from interdiff.keyframes.nested_masks import levels_of_steps
from interdiff.maze.baselines.settings import SegmentFillSettings, WindowDiffusionSettings
from interdiff.maze.planner.masks import RANKED
from interdiff.maze.planner.settings import (
    AnchorsSettings,
    KeyframesSettings,
    MasksSettings,
    RefinerSettings,
    SamplingSettings,
    SegmentCostSettings,
    SelectorSettings,
    SequenceDiffusionSettings,
)
from interdiff.maze.world.layouts import MAPS, load_layout, number_for
from interdiff.maze.world.random_layouts import largest_side
from interdiff.maze.world.settings import DataSettings, LayoutSettings, RandomMapsSettings
from interdiff.maze.world.splits import held_out
from interdiff.settings import BASE, Count, Name, Section
from interdiff.workflow.pipelines.maze_report import ReportSettings
from interdiff.workflow.variants import Node, WithVariants, resolve


class MazeSettings(Section):
    """What a variant may change: one section per stage."""

    data: DataSettings = Field(default_factory=DataSettings, description="prepared data")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="dynamic-programming masks")
    segment_cost: SegmentCostSettings = Field(default_factory=SegmentCostSettings, description="segment-cost model")
    selector: SelectorSettings = Field(default_factory=SelectorSettings, description="selector")
    keyframes: KeyframesSettings = Field(default_factory=KeyframesSettings, description="phase 1")
    anchors: AnchorsSettings = Field(default_factory=AnchorsSettings, description="cached phase-1 outputs")
    refiner: RefinerSettings = Field(default_factory=RefinerSettings, description="phase 2")
    sequence_diffusion: SequenceDiffusionSettings = Field(
        default_factory=SequenceDiffusionSettings, description="the control without phases"
    )
    sampling: SamplingSettings = Field(default_factory=SamplingSettings, description="plans and metrics")
    window_diffusion: WindowDiffusionSettings = Field(
        default_factory=WindowDiffusionSettings, description="learned baseline over windows of fixed horizon"
    )
    segment_fill: SegmentFillSettings = Field(
        default_factory=SegmentFillSettings, description="low level of the hierarchical baseline"
    )

    @model_validator(mode="after")
    def _fits_sequence(self) -> MazeSettings:
        # With all points as keyframes no choice costs more than another.
        for key, most, below in (("levels", "T - 1", 1), ("nested_levels", "T", 0)):
            largest = getattr(self.masks, key)[-1]
            if largest > self.data.frames - below:
                raise ValueError(f"masks.{key}: K={largest} exceeds {most}, data.frames={self.data.frames}")
        auto = self.sampling.k == "auto"
        counted = "sampling.auto_counts" if auto else "sampling.k"
        for key, counts, allowed in (
            ("keyframes.counts", self.keyframes.counts, "masks.levels"),
            ("anchors.counts", self.anchors.counts, "masks.nested_levels"),
            ("anchors.counts", self.anchors.counts, "keyframes.counts"),
            (counted, self.sampling.counts, "masks.levels"),
            (counted, self.sampling.counts, "keyframes.counts"),
            ("sampling.k", [] if auto else self.sampling.counts, "masks.nested_levels"),
        ):
            section, name = allowed.split(".")
            known = getattr(getattr(self, section), name)
            for count in counts:
                if count not in known:
                    raise ValueError(f"{key}: {count} is not among {allowed}={known}")
        for coarse, fine in pairwise(self.masks.nested_levels):
            if not nests(self.data.frames, coarse, fine, self.masks.max_gap_factor):
                raise ValueError(
                    f"masks.nested_levels: {fine} follows {coarse} too closely for the largest gaps of its masks,"
                    f" masks.max_gap_factor={self.masks.max_gap_factor}; about double each time"
                )
        for k in self.sampling.counts:
            levels = levels_of_steps(self.masks.nested_levels, k, self.sampling.refiner_steps, "sampling.refiner_steps")
            for coarse, fine in pairwise(levels):
                if not nests(self.data.frames, coarse, fine, self.masks.max_gap_factor):
                    raise ValueError(f"{counted}: phase 2's level of {fine} keyframes follows {coarse} too closely")
        for policy in self.refiner.mix:
            if RANKED[policy] not in self.anchors.policies:
                raise ValueError(f"refiner.mix: {policy} needs {RANKED[policy]!r} among anchors.policies")
        if self.data.mode == "windows":
            horizon, interval = self.data.horizon, self.window_diffusion.interval
            for steps in horizon.values() if isinstance(horizon, dict) else [horizon]:
                if steps % interval:
                    raise ValueError(f"window_diffusion.interval: {interval} does not divide data.horizon={steps}")
        for stage in ("segment_cost", "refiner", "sequence_diffusion"):
            per_token = getattr(self, stage).frames_per_token
            if self.data.frames % per_token:
                raise ValueError(f"{stage}.frames_per_token={per_token} does not divide data.frames={self.data.frames}")
        return self


MAZE_STAGES = {
    "prepare": Node("data"),
    "masks": Node("masks", ("prepare",)),
    "segment_cost": Node("segment_cost", ("masks",)),
    "selector": Node("selector", ("segment_cost",)),
    "keyframes": Node("keyframes", ("selector",)),
    "anchors": Node("anchors", ("keyframes",)),
    "refiner": Node("refiner", ("anchors",)),
    "sequence_diffusion": Node("sequence_diffusion", ("segment_cost",)),
    "samples": Node("sampling", ("refiner", "sequence_diffusion")),
    "window_diffusion": Node("window_diffusion", ("prepare",)),
    "segment_fill": Node("segment_fill", ("prepare",)),
}
"""The maze's stages: each one's section of the settings, and what it reads."""


class VariantsStageSettings(Section):
    """What the record of the reported variants is told; artifacts are folders below the results root."""

    variants: list[Name] = Field(description="variants, in this order")
    base: dict[str, Any] = Field(description="the settings that variants start from")
    changes: dict[Name, dict[str, Any]] = Field(description="what each reported variant changes in them")
    parents: dict[Name, Name | None] = Field(description="the variant that each one was derived from")
    artifacts: dict[Name, dict[Name, str]] = Field(description="each variant's artifact by stage; many are shared")
    specs: dict[str, str] = Field(description="digest of each artifact's settings, code and packages")


class MazeConfig(WithVariants):
    """The maze pipeline."""

    threads: Count = Field(2, description="threads per job; part of every stage's identity, since results depend on it")
    layouts: dict[Name, LayoutSettings] = Field(
        default_factory=lambda: {name: LayoutSettings(map=name) for name in ("umaze", "medium", "large")},
        description="mazes by name",
    )
    base: MazeSettings = Field(default_factory=MazeSettings, description="the settings that variants start from")
    report: ReportSettings = Field(default_factory=ReportSettings, description="what the report covers")

    @model_validator(mode="after")
    def _check(self) -> MazeConfig:
        for name, layout in self.layouts.items():
            _check_layout(name, layout)
        self._resolved = resolve(self.base, self.variants, MAZE_STAGES, "maze.variants", self.seeds)
        settings = self._resolved.settings
        for name, merged in settings.items():
            self._check_data(BASE if name == BASE else f"variants.{name}", merged["data"])
        self._check_improvement(settings)
        for key, name in self.report.named_variants():
            if name not in settings:
                raise InputError(f"report.{key}: unknown variant {name!r}; expected one of {', '.join(settings)}")
        for key, name in self.report.driven_variants():
            if settings[name]["sampling"]["policy"] == "dp":
                raise InputError(f"report.{key}: {name} takes keyframes from the ground truth (policy dp)")
        self._check_pairs(settings)
        self._check_budget(settings)
        self._check_baselines(settings)
        for task, names in self.report.rollouts.tasks.items():
            for name in names:
                self._check_task(task, name)
        for k in self.report.selection.counts:
            if k not in self.base.masks.levels:
                raise InputError(f"report.selection.counts: K={k} is not among base.masks.levels")
        return self

    def side(self, variant: str) -> int:
        """Side of the grid, in cells, that the networks of a variant know maps in."""
        names = self.resolved().section("prepare", variant)["layouts"]
        return max(largest_side(self.layouts[name].map, name) for name in names)

    def map_of(self, name: str) -> str | RandomMapsSettings:
        """The map of a task: that of a layout of this name, else D4RL's."""
        return self.layouts[name].map if name in self.layouts else name

    def _check_improvement(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """That the demonstrations of every variant begin with simulated ones."""
        for variant in settings:
            seen = [variant]
            while (teacher := settings[seen[-1]]["data"]["improved_by"]) is not None:
                key = f"variants.{variant}.data.improved_by"
                if teacher not in settings:
                    raise InputError(f"{key}: unknown variant {teacher!r}; expected one of {', '.join(settings)}")
                if teacher in seen:
                    raise InputError(f"{key}: a cycle, {' -> '.join([*seen, teacher])}")
                if self.side(variant) > self.side(teacher):
                    raise InputError(
                        f"{key}: {teacher} knows maps of {self.side(teacher)} cells per side, not {self.side(variant)}"
                    )
                seen.append(teacher)

    def _check_data(self, key: str, data: Mapping[str, Any]) -> None:
        """That the layouts are known and can be split as told, whether a variant says so itself or takes it from base."""
        count = 0
        for layout in data["layouts"]:
            if layout not in self.layouts:
                known = ", ".join(self.layouts)
                raise InputError(f"{key}.data.layouts: unknown layout {layout!r}; expected one of {known}")
            drawn = self.layouts[layout].map
            if data["mode"] == "windows" and not isinstance(drawn, str):
                raise InputError(f"{key}.data: windows (mode) are of single mazes, {layout!r} (layouts) is a family")
            count += 1 if isinstance(drawn, str) else drawn.count
        if data["hold_out"] == "mazes":
            try:
                held_out(count, data["val_fraction"], data["test_fraction"])
            except InputError as error:
                raise InputError(f"{key}.data.hold_out: mazes, of which there are {count}: {error}") from error

    def _check_pairs(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """That plans which are compared one by one are for the same sequences."""
        for key, name in self.report.paired_variants():
            own, base = settings[name], settings[BASE]
            same = own["data"] == base["data"]
            if not same or any(own["sampling"][part] != base["sampling"][part] for part in ("split", "n_per_layout")):
                raise InputError(
                    f"report.{key}: {name} plans for other sequences than base, with which its plans are compared; expected"
                    " the same data, sampling.split and sampling.n_per_layout"
                )

    def _check_budget(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """That networks know the numbers of keyframes, and that every planner has mazes."""
        budget = self.report.budget
        for name, counts in budget.counts.items():
            variant = budget.planners[name].variant
            if counts and settings[variant]["sampling"]["planner"] != "two_phase":
                raise InputError(f"report.budget.counts.{name}: {variant} has no phase 1 whose keyframes can be varied")
            for k in counts:
                if k not in settings[variant]["keyframes"]["counts"]:
                    raise InputError(f"report.budget.counts.{name}: K={k} is not among keyframes.counts of {variant}")
        varied = [settings[budget.planners[name].variant]["data"] for name in budget.counts]
        for name, planner in budget.planners.items():
            if settings[planner.variant]["data"] not in varied:
                raise InputError(
                    f"report.budget.planners.{name}: the data of {planner.variant} are those of none of counts' planners,"
                    f" {', '.join(budget.counts)}"
                )

    def _check_baselines(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Where their variants are there: a configuration may do without."""
        baselines = self.report.baselines
        for key in ("full_sequence", "few_steps", "hierarchical"):
            variant, steps = getattr(baselines, key).variant, getattr(baselines, key).steps
            if variant in settings:
                self._check_numbers(f"report.baselines.{key}.steps", steps, settings[variant]["data"]["layouts"])
        for variant, own in settings.items():
            if own["data"]["mode"] == "windows":
                self._check_numbers(f"variants.{variant}.data.horizon", own["data"]["horizon"], own["data"]["layouts"])
        high = settings.get(baselines.hierarchical.variant)
        if high and high["window_diffusion"]["interval"] != high["segment_fill"]["interval"]:
            raise InputError(
                f"variants.{baselines.hierarchical.variant}.segment_fill.interval: expected that of window_diffusion"
            )

    def _check_numbers(self, key: str, numbers: int | Mapping[str, int], layouts: Sequence[str]) -> None:
        """That each layout, a single maze, has a number or takes one."""
        for name in layouts:
            drawn = self.layouts[name].map
            try:
                if isinstance(drawn, str):
                    number_for(numbers, name, len(load_layout(drawn, name).free_cells))
            except InputError as error:
                raise InputError(f"{key}: {error}") from error

    def _check_task(self, task: str, name: str) -> None:
        key, drawn = f"report.rollouts.tasks.{task}", self.map_of(name)
        if not isinstance(drawn, str):
            raise InputError(f"{key}: {name!r} is a family of mazes, expected single ones")
        if drawn == name and name not in MAPS:
            known = ", ".join(dict.fromkeys([*self.layouts, *MAPS]))
            raise InputError(f"{key}: unknown layout {name!r}; expected one of {known}")
        if task != "multi" and load_layout(drawn, name).goal is None:
            raise InputError(f"{key}: layout {name!r} has no goal 'G' in its map")


def _check_layout(name: str, layout: LayoutSettings) -> None:
    key = "map"
    try:
        if isinstance(layout.map, str):
            load_layout(layout.map, name)
        elif layout.source is not None:
            raise InputError("a family of mazes has no source")
        if layout.source is not None:
            # Before any job: Snakemake removes what a job made earlier as soon as the job begins.
            from interdiff.maze.world.packages.sources import check_source

            key = "source"
            check_source(Path(layout.source))
    except InputError as error:
        raise InputError(f"layouts.{name}.{key}: {error}") from error
