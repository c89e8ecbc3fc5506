"""The maze pipeline's configuration: every key, its type, default, bounds and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from interdiff.errors import InputError
from interdiff.maze.d4rl_package import PREFIX, dataset_path
from interdiff.maze.layouts import load_layout
from interdiff.settings import Count, Fraction, Name, NetworkSettings, Section, TrainingSettings
from interdiff.variants import BASE, Node, WithVariants, resolve

Policy = Literal["selector", "uniform", "random", "dp"]
RankPolicy = Literal["selector", "uniform", "random_nested", "dp"]
Interpolation = Literal["linear", "hermite"]
Task = Literal["single", "multi", "heldout"]


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
    source: str | None = Field(
        None,
        description="path of a real D4RL HDF5 file to use instead of simulating, or the name of a data set of the package"
        " d4rl, such as maze2d-large-v1",
    )

    @field_validator("source")
    @classmethod
    def _named(cls, source: str | None) -> str | None:
        return str(dataset_path(source)) if source and source.startswith(PREFIX) else source


class DataSettings(Section):
    """Prepared data: sequences of `frames` points from the demonstrations."""

    layouts: list[Name] = Field(
        ["umaze", "medium", "large"],
        min_length=1,
        description="layouts to take, in this order",
    )
    frames: int = Field(128, ge=2, description="T, points per sequence")
    mode: Literal["segments", "windows"] = Field(
        "segments", description="goal-to-goal segments resampled to T, or windows of fixed horizon"
    )
    horizon: Count | dict[Name, Count] = Field(
        128, description="steps per window, one number or one per layout (mode windows)"
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
    flip_y: bool = Field(False, description="mirror everything along y")
    sdf_resolution: Count = Field(8, description="signed-distance samples per cell and axis")

    @model_validator(mode="after")
    def _horizons(self) -> DataSettings:
        if self.mode == "windows" and isinstance(self.horizon, dict):
            for layout in self.layouts:
                if layout not in self.horizon:
                    raise ValueError(f"horizon: no number of steps for layout {layout!r}")
        return self


class MasksSettings(Section):
    """Dynamic-programming masks under the exact segment cost."""

    levels: list[Annotated[int, Field(ge=2)]] = Field(
        [2, 3, 4, 5, 6, 7, 8, 12, 16, 32],
        min_length=1,
        description="numbers of kept points K, increasing; endpoints count",
    )
    nested_levels: list[Annotated[int, Field(ge=2)]] = Field(
        [4, 8, 16, 32, 64],
        min_length=1,
        description="keyframe counts of the nested masks, phase 2's noise levels; each about double the one before",
    )
    max_gap_factor: float = Field(
        2.5, ge=1, description="largest gap between kept points, in units of (T - 1) / (K - 1)"
    )
    cost: Literal["exact", "snr", "sampled"] = Field(
        "exact",
        description="exact squared error, the log's SNR-weighted form, or that form's estimator",
    )
    cost_samples: Count = Field(16, description="frames per segment of the sampled estimator")
    subset_fraction: float = Field(
        0.1, gt=0, le=1, description="share of the sequences that global indices are chosen on"
    )
    seed: int = Field(0, ge=0, description="seed of subset and sampled estimator")

    @model_validator(mode="after")
    def _increasing(self) -> MasksSettings:
        for name in ("levels", "nested_levels"):
            levels = getattr(self, name)
            if levels != sorted(set(levels)):
                raise ValueError(f"{name}={levels} must increase")
        return self


class SegmentCostSettings(Section):
    """D_phi, the model of the segment cost."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="size of the network")
    frames_per_token: Count = Field(8, description="frames that one token stands for; divides T")
    channels: Count = Field(32, description="features of a segment's first and of its last frame")
    pairs: Count = Field(64, description="segments per sequence and step")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class SelectorSettings(Section):
    """The selector of keypoint indices; its network has D_phi's size, from which it starts."""

    condition_bias: Literal["none", "direct", "encoder"] = Field(
        "encoder", description="what is added to the time queries: start and goal, or an encoding of them and the map"
    )
    gumbel: float = Field(0.0, ge=0, description="Gumbel noise on the potentials in training")
    temperature: float = Field(1.0, gt=0, description="divides the potentials, at the first step of training")
    final_temperature: float = Field(1.0, gt=0, description="temperature at the last step, reached linearly")
    kl_to_uniform: float = Field(0.0, ge=0, description="weight of KL(density of keyframes || uniform)")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class KeypointsSettings(Section):
    """Phase 1, the keypoint denoiser."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="size of the network")
    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [4, 8], min_length=1, description="numbers of keypoints K to train with"
    )
    mix: dict[Policy, Fraction] = Field(
        {"selector": 0.5, "dp": 0.1, "uniform": 0.3, "random": 0.1},
        description="where the indices come from in training, with the share of each",
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class AnchorsSettings(Section):
    """The cache of phase-1 outputs that the refiner trains on."""

    policies: list[Policy] = Field(["selector", "uniform"], min_length=1, description="index policies to cache")
    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [4, 8], min_length=1, description="numbers of keypoints K to cache"
    )
    steps: Count = Field(6, description="sampling steps of phase 1")
    seed: int = Field(0, ge=0, description="seed of the sampling noise")


class CorruptionSettings(Section):
    """What the refiner learns to undo."""

    interpolation: Interpolation = Field("linear", description="how missing frames are filled")
    noise: float = Field(0.002, ge=0, description="noise on missing frames, times the Brownian-bridge deviation")
    replace_probability: Fraction = Field(
        0.7, description="probability that a sample's anchors carry phase 1's cached errors; the others count as exact"
    )
    anchor_jitter: float = Field(0.001, ge=0, description="deviation of the random errors of exact anchors")


class RefinerSettings(Section):
    """Phase 2, the refiner."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="size of the network")
    frames_per_token: Count = Field(2, description="frames that one token stands for; divides T")
    mix: dict[RankPolicy, Fraction] = Field(
        {"selector": 0.5, "uniform": 0.5},
        description="where the nested masks come from in training, with the share of each",
    )
    corruption: CorruptionSettings = Field(default_factory=CorruptionSettings, description="what it undoes")
    collision_weight: float = Field(50.0, ge=0, description="weight of the penalty on points near walls")
    collision_margin: float = Field(0.1, ge=0, description="distance to walls, in cells, below which it acts")
    initialise: bool = Field(True, description="start from phase 1's weights where shapes allow")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class WindowDiffusionSettings(Section):
    """A learned peer: diffusion over the states at equally spaced steps of windows of fixed horizon."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="size of the network")
    interval: Count = Field(4, description="steps of 0.01 s from one token to the next; divides every horizon")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class SegmentFillSettings(Section):
    """The hierarchical peer's low level: diffusion over all steps between two sub-goals."""

    network: NetworkSettings = Field(default_factory=NetworkSettings, description="size of the network")
    interval: Count = Field(15, description="steps between sub-goals, that of the high level")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class SamplingSettings(Section):
    """Plans for the held-out split, both phases."""

    policy: Policy = Field("selector", description="where phase 1's indices come from")
    k: int = Field(8, ge=2, description="K, keypoints of a plan")
    keypoint_steps: Count = Field(6, description="denoising steps of phase 1")
    refiner: Literal["model", "identity", "projection"] = Field(
        "model", description="phase 2: the trained refiner, nothing, or pushing points out of walls along the SDF"
    )
    refiner_steps: Count = Field(1, description="levels that phase 2 runs over, coarse to fine; one pass each")
    noise: Literal["none", "constant", "level"] = Field(
        "level", description="noise on missing frames: none, constant, or as in the refiner's training"
    )
    noise_scale: float = Field(0.01, ge=0, description="deviation of that noise")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1], min_length=1, description="sampling seeds, one row of metrics each"
    )
    n_per_layout: Count = Field(256, description="held-out sequences per layout")


RANKED = {"selector": "selector", "uniform": "uniform", "random_nested": "random", "dp": "dp"}
"""The index policy whose cached anchors go with the nested masks of each rank policy."""


class MazeSettings(Section):
    """What a variant may change: one section per stage."""

    data: DataSettings = Field(default_factory=DataSettings, description="prepared data")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="dynamic-programming masks")
    segment_cost: SegmentCostSettings = Field(default_factory=SegmentCostSettings, description="segment-cost model")
    selector: SelectorSettings = Field(default_factory=SelectorSettings, description="selector")
    keypoints: KeypointsSettings = Field(default_factory=KeypointsSettings, description="phase 1")
    anchors: AnchorsSettings = Field(default_factory=AnchorsSettings, description="cached phase-1 outputs")
    refiner: RefinerSettings = Field(default_factory=RefinerSettings, description="phase 2")
    sampling: SamplingSettings = Field(default_factory=SamplingSettings, description="plans and metrics")
    window_diffusion: WindowDiffusionSettings = Field(
        default_factory=WindowDiffusionSettings, description="learned peer over windows of fixed horizon"
    )
    segment_fill: SegmentFillSettings = Field(
        default_factory=SegmentFillSettings, description="low level of the hierarchical peer"
    )

    @model_validator(mode="after")
    def _fits_sequence(self) -> MazeSettings:
        for key in ("levels", "nested_levels"):
            largest = getattr(self.masks, key)[-1]
            if largest > self.data.frames:
                raise ValueError(f"masks.{key}: K={largest} exceeds T, data.frames={self.data.frames}")
        for key, counts, allowed in (
            ("keypoints.counts", self.keypoints.counts, "masks.levels"),
            ("anchors.counts", self.anchors.counts, "masks.nested_levels"),
            ("sampling.k", [self.sampling.k], "masks.levels"),
            ("sampling.k", [self.sampling.k], "masks.nested_levels"),
        ):
            known = getattr(self.masks, allowed.removeprefix("masks."))
            for count in counts:
                if count not in known:
                    raise ValueError(f"{key}: {count} is not among {allowed}={known}")
        for policy in self.refiner.mix:
            if RANKED[policy] not in self.anchors.policies:
                raise ValueError(f"refiner.mix: {policy} needs {RANKED[policy]!r} among anchors.policies")
        for stage in ("segment_cost", "refiner"):
            per_token = getattr(self, stage).frames_per_token
            if self.data.frames % per_token:
                raise ValueError(f"{stage}.frames_per_token={per_token} does not divide data.frames={self.data.frames}")
        return self


MAZE_STAGES = {
    "prepare": Node("data"),
    "masks": Node("masks", ("prepare",)),
    "segment_cost": Node("segment_cost", ("masks",)),
    "selector": Node("selector", ("segment_cost",)),
    "keypoints": Node("keypoints", ("selector",)),
    "anchors": Node("anchors", ("keypoints",)),
    "refiner": Node("refiner", ("anchors",)),
    "samples": Node("sampling", ("refiner",)),
    "window_diffusion": Node("window_diffusion", ("prepare",)),
    "segment_fill": Node("segment_fill", ("prepare",)),
}
"""The maze's stages: each one's section of the settings, and what it reads."""


class GallerySettings(Section):
    """The pictures of sampled plans."""

    variants: list[Name] = Field([BASE], description="reported variants to draw")
    samples_drawn: Count = Field(6, description="plans drawn per layout")


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


class SimulatedMazeSettings(Section):
    """A maze to simulate demonstrations in."""

    map: str = Field(description="as in layouts")
    noise: float = Field(ge=0, description="as in layouts")


class SelectionStageSettings(SelectionSettings):
    """What the stage is told: also the mazes that it simulates."""

    layouts: dict[Name, SimulatedMazeSettings] = Field(description="mazes by name")


class FullSequenceSettings(Section):
    """Plans of full-sequence diffusion."""

    variant: Name = Field("full_sequence", description="variant whose network plans")
    steps: Count | dict[Name, Count] = Field(
        {"umaze": 64, "medium": 256, "large": 256},
        description="denoising steps, one number or one per layout",
    )


class HierarchicalSettings(FullSequenceSettings):
    """Plans of the hierarchical peer; `variant` and `steps` are those of its sub-goals."""

    variant: Name = Field("hierarchical", description="variant whose networks plan")
    fill_steps: Count = Field(128, description="denoising steps between sub-goals")


class PeersSettings(Section):
    """The learned peers, as rollouts.csv runs them."""

    full_sequence: FullSequenceSettings = Field(
        default_factory=FullSequenceSettings, description="full-sequence diffusion"
    )
    few_steps: FullSequenceSettings = Field(
        default_factory=lambda: FullSequenceSettings(steps=2),
        description="full-sequence diffusion at about the compute of our plans",
    )
    hierarchical: HierarchicalSettings = Field(
        default_factory=HierarchicalSettings, description="sub-goals, then what is between them"
    )


class TrackerSettings(Section):
    """The controller that follows plans, the same for every planner."""

    p_gain: float = Field(10.0, ge=0, description="action per unit of position error")
    d_gain: float = Field(1.0, ge=0, description="action per unit/s of velocity error")
    feed_forward: bool = Field(True, description="add the action that the reference's acceleration takes")


class RetimingSettings(Section):
    """Driving along a path as fast as the motors allow."""

    effort: float = Field(1.0, gt=0, le=1, description="share of force and speed to use")
    smoothings: list[Annotated[float, Field(ge=0)]] = Field(
        [0.02, 0.05, 0.1, 0.2, 0.3],
        min_length=1,
        description="deviations from the path, in units, that may be smoothed away; each makes a candidate",
    )
    clearance: float = Field(
        0.1, ge=0, description="distance to walls, in units, that a candidate should keep; the ball's radius is 0.1"
    )


class TwoPhaseSettings(Section):
    """One of our planners in the simulator."""

    variant: Name = Field(BASE, description="variant whose networks plan")
    candidates: Count = Field(3, description="plans to choose from, by time and clearance")
    retiming: RetimingSettings | None = Field(
        default_factory=RetimingSettings,
        description="drive as fast as the motors allow along the path; null: at the demonstrations' pace",
    )


class DrawnSettings(Section):
    """Episodes in the pictures of rollouts.csv: the first ones, whatever came of them."""

    planner: Name = Field("two_phase", description="our planner in the pictures; one plan of it is animated")
    episodes: Count = Field(4, description="episodes per layout")


class DrivingSettings(Section):
    """Planners that drive the ball, all from the same starts to the same goals."""

    episodes: int = Field(200, ge=2, description="episodes per planner, task and layout")
    seed: int = Field(0, ge=0, description="seed of starts, goals and plans")
    planners: dict[Name, TwoPhaseSettings] = Field(
        default_factory=lambda: {"two_phase": TwoPhaseSettings()}, description="our planners by name"
    )
    tracker: TrackerSettings = Field(default_factory=TrackerSettings, description="what follows all plans")
    other_trackers: dict[Name, TrackerSettings] = Field(
        default_factory=dict, description="further ones by name, which a planner's rows with them carry too"
    )
    peers_retiming: RetimingSettings | None = Field(
        None, description="rows of the learned peers' paths driven as fast as the motors allow, too; null: none"
    )
    drawn: DrawnSettings = Field(default_factory=DrawnSettings, description="episodes in the pictures")

    @model_validator(mode="after")
    def _drawn_are_driven(self) -> Self:
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
        description="D4RL's maps by task: the map's goal, random goals, and the goal of maps never trained on",
    )
    drawn_task: Task = Field("multi", description="task whose episodes are drawn")

    @model_validator(mode="after")
    def _drawn_task_is_run(self) -> RolloutsSettings:
        if not self.tasks.get(self.drawn_task):
            raise ValueError(f"drawn_task: {self.drawn_task!r} has no maps among tasks")
        return self


class DriveSettings(DrivingSettings):
    """What the stage of one task and map is told: also how each of our planners samples, and the peers."""

    task: Task = Field(description="what the goals are")
    layout: Name = Field(description="D4RL's map")
    sampling: dict[Name, SamplingSettings] = Field(description="sampling settings by planner")
    peers: PeersSettings = Field(description="learned planners to compare with")


class UnseenSettings(Section):
    """Plans in random mazes that no network was trained on, unseen.csv."""

    planner: TwoPhaseSettings = Field(default_factory=TwoPhaseSettings, description="our planner")
    families: dict[Name, RandomMapsSettings] = Field(
        default_factory=lambda: {"as_trained": RandomMapsSettings(count=200, seed=1000)},
        description="mazes by name; with other seeds than those trained on",
    )
    episodes: Count = Field(5, description="episodes per maze, from and to random free cells")
    steps: Count = Field(1500, description="steps of 0.01 s per episode")
    seed: int = Field(0, ge=0, description="seed of starts, goals and plans")


class UnseenStageSettings(UnseenSettings):
    """What the stage is told: also how the planner samples, and what follows its plans."""

    sampling: SamplingSettings = Field(description="sampling settings of the planner's variant")
    tracker: TrackerSettings = Field(description="what follows all plans")


class AblationsStageSettings(Section):
    """What ablations.csv is told: folders are below the results root."""

    ablations: dict[Name, list[Name]] = Field(description="variants by what they change")
    folders: dict[Name, str] = Field(description="folder of each variant's samples, base's too")


class DiagnosticsSettings(Section):
    """Tables and pictures of what goes on in the plans."""

    n_per_layout: Count = Field(128, description="held-out sequences per layout")
    failures: Count = Field(9, description="worst plans to draw")


class DiagnosticsStageSettings(DiagnosticsSettings):
    """What the stage is told: also how the variant samples."""

    k: int = Field(ge=2, description="K, keypoints of a plan")
    keypoint_steps: Count = Field(description="denoising steps of phase 1")


class ReportSettings(Section):
    """What metrics.csv, selection.csv and the figures cover."""

    variants: list[Name] = Field([BASE], min_length=1, description="variants, in this order")
    selection: SelectionSettings = Field(
        default_factory=SelectionSettings, description="comparison of ways to choose keyframes"
    )
    gallery: GallerySettings = Field(default_factory=GallerySettings, description="pictures of sampled plans")
    peers: PeersSettings = Field(default_factory=PeersSettings, description="learned planners to compare with")
    rollouts: RolloutsSettings = Field(default_factory=RolloutsSettings, description="planners in the simulator")
    unseen: UnseenSettings = Field(
        default_factory=UnseenSettings, description="plans in mazes that no network was trained on"
    )
    ablations: dict[Name, list[Name]] = Field(
        default_factory=dict, description="variants of ablations.csv, by what they change"
    )
    quick_ablations: list[Name] = Field(
        [],
        description="those of them that report.html always shows, from quick_ablations.csv: best such as train nothing",
    )
    diagnostics: DiagnosticsSettings = Field(
        default_factory=DiagnosticsSettings, description="what goes on in the plans of a variant"
    )
    include: list[Literal["rollouts", "unseen", "ablations", "diagnostics"]] = Field(
        [], description="what report.html shows beside metrics.csv and selection.csv; it is made if it is not there"
    )

    @model_validator(mode="after")
    def _quick_among_all(self) -> ReportSettings:
        for name in self.quick_ablations:
            if name not in self.ablations:
                raise ValueError(f"quick_ablations: {name!r} is not among ablations: {', '.join(self.ablations)}")
        return self

    def driven_variants(self) -> list[tuple[str, str]]:
        """Keys and the variants whose plans are driven."""
        planners = {f"rollouts.planners.{name}": planner for name, planner in self.rollouts.planners.items()}
        planners["unseen.planner"] = self.unseen.planner
        return [(f"{key}.variant", planner.variant) for key, planner in planners.items()]

    def named_variants(self) -> list[tuple[str, str]]:
        """Keys and the variants that they name, but for the peers': a configuration may do without."""
        return [
            *(("variants", name) for name in self.variants),
            *(("gallery.variants", name) for name in self.gallery.variants),
            *((f"ablations.{group}", name) for group, names in self.ablations.items() for name in names),
            *self.driven_variants(),
        ]


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
        self._resolved = resolve(self.base, self.variants, MAZE_STAGES, "maze.variants")
        settings = self._resolved.settings
        for name, merged in settings.items():
            for layout in merged["data"]["layouts"]:
                if layout not in self.layouts:
                    key = BASE if name == BASE else f"variants.{name}"
                    known = ", ".join(self.layouts)
                    raise InputError(f"{key}.data.layouts: unknown layout {layout!r}; expected one of {known}")
                if merged["data"]["mode"] == "windows" and not isinstance(self.layouts[layout].map, str):
                    raise InputError(f"{name}.data.mode: windows are of single mazes, {layout!r} is a family")
        for key, name in self.report.named_variants():
            if name not in settings:
                raise InputError(f"report.{key}: unknown variant {name!r}; expected one of {', '.join(settings)}")
        for key, name in self.report.driven_variants():
            if settings[name]["sampling"]["policy"] == "dp":
                raise InputError(f"report.{key}: {name} takes keyframes from the ground truth (policy dp)")
        for k in self.report.selection.counts:
            if k not in self.base.masks.levels:
                raise InputError(f"report.selection.counts: K={k} is not among base.masks.levels")
        return self


def _check_layout(name: str, layout: LayoutSettings) -> None:
    key = "map"
    try:
        if isinstance(layout.map, str):
            load_layout(layout.map, name)
        elif layout.source is not None:
            raise InputError("a family of mazes has no source")
        if layout.source is not None:
            # Before any job: Snakemake removes what a job made earlier as soon as the job begins.
            from interdiff.maze.d4rl import check_file

            key = "source"
            check_file(Path(layout.source))
    except InputError as error:
        raise InputError(f"layouts.{name}.{key}: {error}") from error
