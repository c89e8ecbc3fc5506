"""The maze pipeline as its rules see it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.maze.evaluation.settings import OURS
from interdiff.maze.planner.settings import NETWORKS, WITHOUT_PHASES, SamplingSettings, TimedPlannerSettings
from interdiff.maze.world.random_layouts import largest_side
from interdiff.settings import BASE
from interdiff.workflow.identity import spec
from interdiff.workflow.pipelines.maze import MazeConfig
from interdiff.workflow.pipelines.maze_report import reported
from interdiff.workflow.pipelines.needs import Need
from interdiff.workflow.pipelines.pipeline import WEIGHTS, Pipeline
from interdiff.workflow.variants import difference


class MazePipeline(Pipeline):
    """The maze's stages."""

    domain = "maze"

    def __init__(self, config: MazeConfig, results: str, root: str | Path) -> None:
        super().__init__(config.resolved(), results, root)
        self.config, self.reported = config, config.report

    def need(self, stage: str, wildcards: Any, gpus: int) -> Need:
        """Small networks: an hour and a half."""
        return Need(seconds=5400)

    def sources(self, stage: str, wildcards: Any) -> Sequence[str]:
        """The layout's D4RL file, if it names one."""
        source = self.config.layouts[wildcards.layout].source if stage == "demonstrations" else None
        return [source] if source else []

    def target_stage(self, variant: str) -> str:
        """Plans, or the network of a learned baseline."""
        return "window_diffusion" if self.section("prepare", variant)["mode"] == "windows" else "samples"

    def target(self, variant: str) -> list[str]:
        """The same, as files."""
        stage = self.target_stage(variant)
        return self.files(stage, variant, "samples.npz" if stage == "samples" else "model.safetensors")

    def uses(self, stage: str, wildcards: Any) -> Sequence[tuple[str, str]]:
        """Stages that compare planners read those of several variants."""
        variants = {
            "drive": [planner.variant for planner in self.reported.rollouts.planners.values()],
            "budget": [planner.variant for planner in self.budget_planners().values()],
            "unseen": [planner.variant for planner in self.reported.unseen.asked().values()],
            "diagnostics": [getattr(wildcards, "variant", "")],
            "planner": [getattr(wildcards, "variant", "")],
            "improved": [getattr(wildcards, "variant", "")],
        }
        if stage in variants:
            return [("samples", variant) for variant in variants[stage]]
        return super().uses(stage, wildcards)

    def networks(self, variant: str) -> Sequence[str]:
        """The stages whose networks a variant plans with."""
        return NETWORKS[self.section("samples", variant)["planner"]]

    def network(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: what it takes to rebuild a stage's network, where the variant plans with it."""
        return lambda wildcards: (
            self.files(stage, wildcards.variant, *WEIGHTS) if stage in self.networks(wildcards.variant) else []
        )

    def held_out(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: what a stage makes of the split that a variant's plans are for."""
        return lambda wildcards: self.files(
            stage, wildcards.variant, f"{self.section('samples', wildcards.variant)['split']}.npz"
        )

    def _trained(self, variant: str) -> list[dict[str, str]]:
        """The variants whose networks a variant plans with, by stage: of each of its seeds.

        Where the refiner runs in no plan, its size alone matters, the unit of compute: no further seeds of it are trained.
        """
        unit = {"refiner": variant} if self.section("samples", variant)["planner"] in WITHOUT_PHASES else {}
        seeds = self.resolved.of_all_seeds(variant)
        return [dict.fromkeys(self.networks(name), name) | unit for name in seeds]

    def folders(self, variant: str) -> list[dict[str, str]]:
        """The folders, below the results root, of the networks that a variant plans with, by stage: of each of its seeds."""
        return [
            {stage: self.folder(stage, name) for stage, name in trained.items()} for trained in self._trained(variant)
        ]

    def planning(self, planners: Mapping[str, TimedPlannerSettings]) -> dict[str, dict[str, Any]]:
        """How planners sample, and where their networks and the data that these know the sizes of are, by planner."""
        variants = {name: planner.variant for name, planner in planners.items()}
        return {
            "sampling": {name: self.resolved.section("samples", variant) for name, variant in variants.items()},
            "folders": {name: self.folders(variant) for name, variant in variants.items()},
            "prepared": {name: self.folder("prepare", variant) for name, variant in variants.items()},
        }

    def planning_files(self, variants: Iterable[str]) -> list[str]:
        """What it takes to plan with variants of all seeds beside their data, every file once."""
        trained = [own for variant in variants for own in self._trained(variant)]
        files = [path for own in trained for stage, name in own.items() for path in self.files(stage, name, *WEIGHTS)]
        return list(dict.fromkeys(files))

    def unseen_planners(self) -> dict[str, TimedPlannerSettings]:
        """The planners of unseen.csv.

        Raises:
            InputError: a family's mazes do not fit the maps that the networks of one of its planners know.
        """
        unseen = self.reported.unseen
        for family, names in unseen.driven().items():
            chosen = {name: unseen.planners[name] for name in names}
            self._check_fit(f"unseen.families.{family}", largest_side(unseen.families[family], family), chosen)
        return unseen.asked()

    def rollout_planners(self, name: str) -> dict[str, TimedPlannerSettings]:
        """The planners of rollouts.csv, for a map of its tasks; InputError as above."""
        planners = self.reported.rollouts.planners
        self._check_fit(f"rollouts.tasks: {name}", largest_side(self.config.map_of(name), name), planners)
        return planners

    def _check_fit(self, key: str, side: int, planners: Mapping[str, TimedPlannerSettings]) -> None:
        for name, planner in planners.items():
            known = self.config.side(planner.variant)
            if side > known:
                raise InputError(
                    f"maze.report.{key}: {side} cells per side do not fit the maps of {known} that the planner {name}"
                    f" (variant {planner.variant}) knows"
                )

    def implementations(self, stage: str, wildcards: Any) -> list[str]:
        """Also what no setting chooses: what lies between the steps of the learned baselines, and the report's contents."""
        fixed = {"drive": "interdiff.two_phase.interpolators.linear", "report": "interdiff.workflow.report.maze"}
        return sorted({*super().implementations(stage, wildcards), *([fixed[stage]] if stage in fixed else [])})

    def demonstrations(self, wildcards: Any) -> Mapping[str, Any]:
        return self.config.layouts[wildcards.layout].model_dump()

    def selection(self, wildcards: Any) -> Mapping[str, Any]:
        """Also what it simulates."""
        return self.reported.selection.model_dump() | {"layouts": self._simulated(BASE)}

    def refinement_limit(self, wildcards: Any) -> Mapping[str, Any]:
        """Also what it simulates."""
        return self.reported.refinement_limit.model_dump() | {"layouts": self._simulated(wildcards.variant)}

    def _simulated(self, variant: str) -> Mapping[str, Any]:
        """Maps and noise of a variant's layouts.

        Raises:
            InputError: its sequences are windows, of which nothing says how they were asked for.
        """
        data = self.section("prepare", variant)
        if data["mode"] == "windows":
            raise InputError(f"{variant}.data.mode: windows cannot be simulated again, only segments from goal to goal")
        names = data["layouts"]
        return {name: self.config.layouts[name].model_dump(include={"map", "noise"}) for name in names}

    def gallery(self, wildcards: Any) -> Mapping[str, Any]:
        return self.reported.gallery.model_dump(include={"samples_drawn"})

    def metrics(self, wildcards: Any) -> Mapping[str, Any]:
        return self.reported.model_dump(include={"variants"})

    def variants(self, wildcards: Any) -> Mapping[str, Any]:
        """The reported variants, and what each changes."""
        names, settings = self.reported.variants, self.resolved.settings
        folders = {name: {stage: self.folder(stage, name) for stage in reported(self.networks(name))} for name in names}
        specs = {
            folder: self._digest(stage, name) for name, stages in folders.items() for stage, folder in stages.items()
        }
        return {
            "artifacts": folders,
            "specs": specs,
            "variants": names,
            "base": settings[BASE],
            "changes": {name: difference(settings[BASE], settings[name]) for name in names},
            "parents": {name: self.resolved.parents.get(name) for name in names},
        }

    def _digest(self, stage: str, variant: str) -> str:
        section, chosen = self.resolved.section(stage, variant), self.resolved.implementations(stage, variant)
        text = spec(f"maze.{stage}", section, root=self.root, threads=1, implementations=chosen)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def reported_files(self) -> list[str]:
        """What the reported variants are made of, every file once."""
        made = {name: reported(self.networks(name)) for name in self.reported.variants}
        files = [path for name in made for stage, own in made[name].items() for path in self.files(stage, name, *own)]
        return list(dict.fromkeys(files))

    def planner(self, wildcards: Any) -> Mapping[str, Any]:
        """Plans as in mazes that no network was trained on."""
        planner = self.reported.unseen.planners[OURS].model_dump() | {"variant": wildcards.variant}
        return {"sampling": self.resolved.section("samples", wildcards.variant), "planner": planner}

    def drive(self, wildcards: Any) -> Mapping[str, Any]:
        """One task and map, with the planners' sampling settings and the baselines."""
        rollouts = self.reported.rollouts
        return (
            rollouts.model_dump(exclude={"tasks", "drawn_task"})
            | self.planning(rollouts.planners)
            | {
                "task": wildcards.task,
                "layout": wildcards.map,
                "map": self.config.map_of(wildcards.map),
                "baselines": self.reported.baselines.model_dump(),
            }
        )

    def unseen(self, wildcards: Any) -> Mapping[str, Any]:
        tracker = self.reported.rollouts.tracker.model_dump()
        return self.reported.unseen.model_dump() | self.planning(self.reported.unseen.asked()) | {"tracker": tracker}

    def ablations_of(self, table: str) -> dict[str, list[str]]:
        """The ablations of a table: all, or the quick ones."""
        quick = self.reported.quick_ablations
        return {
            group: names for group, names in self.reported.ablations.items() if table == "ablations" or group in quick
        }

    def ablation_folders(self, table: str) -> dict[str, str]:
        """Folders, below the results root, of the samples that a table compares, base's too."""
        named = [name for names in self.ablations_of(table).values() for name in names]
        return {name: self.folder("samples", name) for name in [BASE, *named]}

    def ablations(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "ablations": self.ablations_of(wildcards.table),
            "folders": self.ablation_folders(wildcards.table),
        }

    def improved(self, wildcards: Any) -> Mapping[str, Any]:
        """One layout by a variant's planner."""
        told, layout = self.reported.improvement, self.config.layouts[wildcards.layout]
        planners = {OURS: told.planner.model_copy(update={"variant": wildcards.variant})}
        settings = told.model_dump() | self.planning(planners) | {"map": layout.model_dump()["map"]}
        settings["planners"] = {OURS: planners[OURS].model_dump()}
        if not isinstance(layout.map, str):
            settings["rows"] = layout.rows
        return settings | {"tracker": self.reported.rollouts.tracker.model_dump()}

    def _beside(self) -> dict[str, list[str]]:
        """The planners of budget.csv beside each one whose keyframes are varied: those with the same data."""
        budget = self.reported.budget
        data = {name: self.folder("prepare", planner.variant) for name, planner in budget.planners.items()}
        beside = [name for name in budget.planners if name not in budget.counts]
        return {name: [other for other in beside if data[other] == data[name]] for name in budget.varied()}

    def budget_planners(self) -> dict[str, TimedPlannerSettings]:
        """The planners of budget.csv: those whose keyframes are varied, and those beside them."""
        names = [each for name, beside in self._beside().items() for each in (name, *beside)]
        return {name: self.reported.budget.planners[name] for name in dict.fromkeys(names)}

    def budget_masks(self) -> list[str]:
        """Masks of the test splits of the planners whose keyframes are varied, in their order."""
        variants = [self.reported.budget.planners[name].variant for name in self.reported.budget.varied()]
        return [path for variant in variants for path in self.files("masks", variant, "test.npz")]

    def budget(self, wildcards: Any) -> Mapping[str, Any]:
        """Also who is beside whom, and on which maps.

        Raises:
            InputError: no planner's keyframes are to be varied.
        """
        budget, tracker = self.reported.budget, self.reported.rollouts.tracker.model_dump()
        if not budget.varied():
            raise InputError("maze.report.budget.counts: no planner has numbers of keyframes")
        maps = {}
        for name in budget.varied():
            layouts = self.section("prepare", budget.planners[name].variant)["layouts"]
            drawn = {layout: self.config.layouts[layout].map for layout in layouts}
            maps[name] = {layout: map_ if isinstance(map_, str) else None for layout, map_ in drawn.items()}
        told = {"beside": self._beside(), "maps": maps, "tracker": tracker}
        return budget.model_dump() | self.planning(self.budget_planners()) | told

    def control_folders(self) -> dict[str, list[str]]:
        """Folders, below the results root, of the samples that controls.csv compares, of all their seeds; base's too."""
        return {
            name: [self.folder("samples", seed) for seed in self.resolved.of_all_seeds(name)]
            for name in [BASE, *self.reported.controls]
        }

    def controls(self, wildcards: Any) -> Mapping[str, Any]:
        return {"controls": self.reported.controls, "folders": self.control_folders()}

    def report(self, wildcards: Any) -> Mapping[str, Any]:
        return {"domain": "maze"}

    def diagnostics(self, wildcards: Any) -> Mapping[str, Any]:
        sampling = SamplingSettings.model_validate(self.section("samples", wildcards.variant))
        own = {"k": sampling.counts[-1], "keyframe_steps": sampling.keyframe_steps}
        return self.reported.diagnostics.model_dump() | own
