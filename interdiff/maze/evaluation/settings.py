"""Settings of what is measured: rollouts, unseen mazes, keyframe selection, ablations and diagnostics."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from interdiff.maze.baselines.settings import LEARNED, NOT_LEARNED, BaselinesSettings, check_names
from interdiff.maze.planner.settings import Policy, RetimingSettings, SamplingSettings, TimedPlannerSettings
from interdiff.maze.world.settings import Map, RandomMapsSettings, SimulatedMazeSettings, TrackerSettings
from interdiff.maze.world.simulator import Env
from interdiff.settings import Count, Name, Section

OURS = "two_phase"
"""Our planner's name in tables."""
Task = Literal["single", "multi", "heldout"]


class SelectionSettings(Section):
    """The comparison of ways to choose keyframes, selection.csv."""

    counts: list[Annotated[int, Field(ge=3)]] = Field(
        [4, 8, 16], min_length=1, description="numbers of keyframes K, one row each"
    )
    conditions: Count = Field(100, description="held-out sequences per layout")
    demonstrations: Count = Field(
        24, description="re-simulations of each sequence's start and target, for the limit of any selector"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of sequences, of re-simulation and random keyframes")


class SelectionStageSettings(SelectionSettings):
    """What the stage is told: also the mazes that it simulates."""

    layouts: dict[Name, SimulatedMazeSettings] = Field(description="mazes by name")


class RefinementLimitSettings(Section):
    """What any phase 2 must leave, refinement_limit/VARIANT.csv."""

    conditions: int = Field(100, ge=2, description="held-out sequences per layout")
    demonstrations: int = Field(
        100, ge=20, description="re-simulations of each sequence's start and target; the limit is pessimistic by 9 / n"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of sequences and of re-simulation")


class RefinementLimitStageSettings(RefinementLimitSettings):
    """What the stage is told: also the mazes that it simulates."""

    layouts: dict[Name, SimulatedMazeSettings] = Field(description="mazes by name")


class DrawnSettings(Section):
    """Episodes in the pictures of rollouts.csv: the first ones, whatever came of them."""

    planner: Name = Field("two_phase", description="our planner in the pictures; one plan of it is animated")
    episodes: Count = Field(4, description="episodes per layout")


class PlanningSettings(Section):
    """Stages that plan with the networks of variants are told: how planners sample, and where their networks are."""

    planners: dict[Name, TimedPlannerSettings] = Field(description="our planners by name")
    sampling: dict[Name, SamplingSettings] = Field(description="sampling settings by planner")
    folders: dict[Name, list[dict[Name, str]]] = Field(description="folders of networks by planner, seed and stage")
    prepared: dict[Name, str] = Field(description="folder of the prepared data by planner")


class OursSettings(Section):
    """Our planners, one of which is compared with all others."""

    planners: dict[Name, TimedPlannerSettings] = Field(
        default_factory=lambda: {OURS: TimedPlannerSettings()}, description="our planners by name"
    )

    @model_validator(mode="after")
    def _ours_is_there(self) -> Self:
        if OURS not in self.planners:
            raise ValueError(f"planners: expected {OURS} among {', '.join(self.planners)}")
        return self


class DrivingSettings(Section):
    """Planners that drive the ball, all from the same starts to the same goals."""

    episodes: int = Field(200, ge=2, description="episodes per planner, task and layout")
    steps: Count = Field(
        800, description="steps of 0.01 s per episode on maps that are not D4RL's, which have their own"
    )
    seed: int = Field(0, ge=0, description="seed of starts, goals and plans")
    env: Env = Field(
        "d4rl",
        description="what drives: D4RL's ball, or gymnasium-robotics' PointMaze (extra pointmaze), without scores",
    )
    planners: dict[Name, TimedPlannerSettings] = Field(
        default_factory=lambda: {OURS: TimedPlannerSettings()}, description="our planners by name"
    )
    tracker: TrackerSettings = Field(default_factory=TrackerSettings, description="what follows all plans")
    other_trackers: dict[Name, TrackerSettings] = Field(
        default_factory=dict, description="further ones by name, which a planner's rows with them carry too"
    )
    baselines_retiming: RetimingSettings | None = Field(
        None, description="rows of the learned baselines' paths driven as fast as the motors allow, too; null: none"
    )
    drawn: DrawnSettings = Field(default_factory=DrawnSettings, description="episodes in the pictures")

    @field_validator("env")
    @classmethod
    def _is_installed(cls, env: Env) -> Env:
        if env == "pointmaze" and find_spec("gymnasium_robotics") is None:
            raise ValueError("pointmaze needs the package gymnasium-robotics, the extra pointmaze")
        return env

    @model_validator(mode="after")
    def _drawn_are_driven(self) -> Self:
        check_names(self.planners, (*NOT_LEARNED, *LEARNED, *(f"{name}_retimed" for name in LEARNED)))
        if self.drawn.planner not in self.planners:
            raise ValueError(f"drawn.planner: {self.drawn.planner!r} is not among {', '.join(self.planners)}")
        if self.drawn.episodes > self.episodes:
            raise ValueError(f"drawn.episodes={self.drawn.episodes} of {self.episodes} episodes")
        return self


class RolloutsSettings(DrivingSettings):
    """Planners in the simulator, rollouts.csv."""

    tasks: dict[Task, list[Name]] = Field(
        {
            "single": ["umaze", "medium", "large"],
            "multi": ["umaze", "medium", "large"],
            "heldout": ["umaze_eval", "medium_eval", "large_eval"],
        },
        description="layouts or D4RL's maps by task: the map's goal, random goals, and the goal of maps never trained on",
    )
    drawn_task: Task = Field("multi", description="task whose episodes are drawn")

    @model_validator(mode="after")
    def _drawn_task_is_run(self) -> RolloutsSettings:
        if not self.tasks.get(self.drawn_task):
            raise ValueError(f"drawn_task: {self.drawn_task!r} has no maps among tasks")
        return self


class DriveSettings(DrivingSettings, PlanningSettings):
    """What the stage of one task and map is told: also how each of our planners samples, and the baselines."""

    task: Task = Field(description="what the goals are")
    layout: Name = Field(description="name of the map")
    map: str = Field(description="as in layouts")
    baselines: BaselinesSettings = Field(description="learned planners to compare with")


class UnseenFamilySettings(RandomMapsSettings):
    """A family of mazes that no network was trained on, and who plans in it."""

    planners: list[Name] | None = Field(
        None,
        description="those of the planners that drive there, the search's path with as many points as the first one's plans;"
        " null: all; [] leaves the family out, and what it alone needs is not trained",
    )


class UnseenSettings(OursSettings):
    """Plans in random mazes that no network was trained on, unseen.csv."""

    planners: dict[Name, TimedPlannerSettings] = Field(
        default_factory=lambda: {OURS: TimedPlannerSettings()},
        description=f"our planners by name; {OURS} is the one that `planner/` holds",
    )
    families: dict[Name, UnseenFamilySettings] = Field(
        default_factory=lambda: {"as_trained": UnseenFamilySettings(count=200, seed=1000)},
        description="mazes by name; with other seeds than those trained on",
    )
    episodes: Count = Field(5, description="episodes per maze, from and to random free cells")
    steps: Count = Field(1500, description="steps of 0.01 s per episode")
    seed: int = Field(0, ge=0, description="seed of starts, goals and plans")

    @model_validator(mode="after")
    def _planners_are_known(self) -> Self:
        check_names(self.planners, NOT_LEARNED)
        for name, family in self.families.items():
            for planner in family.planners or ():
                if planner not in self.planners:
                    raise ValueError(f"families.{name}.planners: {planner!r} is not among {', '.join(self.planners)}")
        return self

    def driven(self) -> dict[str, list[str]]:
        """Who plans in each family that is not left out."""
        everyone = [OURS, *(name for name in self.planners if name != OURS)]
        names = {name: everyone if own.planners is None else own.planners for name, own in self.families.items()}
        return {name: planners for name, planners in names.items() if planners}

    def asked(self) -> dict[str, TimedPlannerSettings]:
        """The planners that some family needs."""
        names = {name for planners in self.driven().values() for name in planners}
        return {name: planner for name, planner in self.planners.items() if name in names}


class UnseenStageSettings(UnseenSettings, PlanningSettings):
    """What the stage is told: also how the planners sample, where their networks are, and what follows their plans."""

    tracker: TrackerSettings = Field(description="what follows all plans")


class AblationsStageSettings(Section):
    """What ablations.csv is told: folders are below the results root."""

    ablations: dict[Name, list[Name]] = Field(description="variants by what they change")
    folders: dict[Name, str] = Field(description="folder of each variant's samples, base's too")


class ControlsStageSettings(Section):
    """What controls.csv is told: folders are below the results root."""

    controls: list[Name] = Field(description="variants, in this order")
    folders: dict[Name, list[str]] = Field(
        description="folders of each variant's samples, of all its seeds; base's too"
    )


class ImprovementSettings(Section):
    """Demonstrations by a planner, improved/{variant}/."""

    planner: TimedPlannerSettings = Field(
        default_factory=lambda: TimedPlannerSettings(candidates=8),
        description="how it plans; the fastest of its candidates in the simulator becomes a demonstration",
    )
    rows: Count = Field(
        200_000, description="rows (steps of 0.01 s) in each single maze; of a family as many as simulated"
    )
    reach: float = Field(0.1, gt=0, description="units from the goal within which a plan has arrived")
    steps: Count = Field(1500, description="steps within which it must")
    seed: int = Field(0, ge=0, description="seed of starts, goals and plans")


class ImprovedStageSettings(ImprovementSettings, PlanningSettings):
    """What the stage of one variant and layout is told."""

    map: Map = Field(description="as in layouts")
    tracker: TrackerSettings = Field(description="what follows plans")


class BudgetSettings(OursSettings):
    """Quality against compute, budget.csv."""

    planners: dict[Name, TimedPlannerSettings] = Field(
        default_factory=lambda: {OURS: TimedPlannerSettings()},
        description="planners by name; those that counts does not name plan in the mazes of the one with the same data",
    )
    counts: dict[Name, list[Annotated[int, Field(ge=2)]]] = Field(
        default_factory=lambda: {OURS: [4, 8]},
        description="numbers of keyframes K of each planner whose keyframes are varied, in the mazes that it was trained on;"
        " [] leaves it out, and what it alone needs is not trained",
    )
    policies: list[Policy] = Field(
        ["selector", "uniform", "random", "dp"], min_length=1, description="who chooses them; dp sees the ground truth"
    )
    tolerances: list[Annotated[float, Field(ge=0)]] = Field(
        [0.1, 0.03, 0.01, 0.003, 0.001], description="of k: auto, a row each"
    )
    n_per_layout: Count = Field(128, description="held-out sequences per layout, of a family one per maze")
    episodes: int = Field(100, ge=2, description="driven episodes of the task multi, on D4RL's maps")
    seed: int = Field(0, ge=0, description="seed of plans, starts and goals")

    @model_validator(mode="after")
    def _varied_are_known(self) -> Self:
        check_names(self.planners, (*self.policies, "auto"))
        for name in self.counts:
            if name not in self.planners:
                raise ValueError(f"counts: {name!r} is not among {', '.join(self.planners)}")
        return self

    def varied(self) -> list[str]:
        """The planners whose keyframes are varied, sorted."""
        return sorted(name for name, counts in self.counts.items() if counts)


class BudgetStageSettings(BudgetSettings, PlanningSettings):
    """What the stage is told: also how planners sample, where their networks are, the maps, and what follows plans."""

    beside: dict[Name, list[Name]] = Field(description="planners beside each one whose keyframes are varied")
    maps: dict[Name, dict[Name, str | None]] = Field(description="maps of its layouts; null for a family")
    tracker: TrackerSettings = Field(description="what follows all plans")


class DiagnosticsSettings(Section):
    """Tables and pictures of what goes on in the plans."""

    n_per_layout: Count = Field(128, description="held-out sequences per layout, of a family one per maze")
    failures: Count = Field(9, description="worst plans to draw")


class DiagnosticsStageSettings(DiagnosticsSettings):
    """What the stage is told: also how the variant samples."""

    k: int = Field(ge=2, description="K, keyframes of a plan")
    keyframe_steps: Count = Field(description="denoising steps of phase 1")
