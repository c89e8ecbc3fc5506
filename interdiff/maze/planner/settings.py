"""Settings of the planner: both phases, D_phi, the selector, and how plans are sampled and timed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from interdiff.keyframes.settings import FrameBudgetSettings
from interdiff.learning.settings import NetworkSettings, OwnNetworkSettings, TrainingSettings, or_own
from interdiff.settings import BASE, Count, Distinct, Fraction, Mix, Name, OneOfModules, Section

Policy = Literal["selector", "uniform", "random", "dp"]
RankPolicy = Literal["selector", "uniform", "random_nested", "dp"]
Interpolation = Annotated[str, OneOfModules("interdiff.two_phase.interpolators")]


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
    cost: Literal["exact", "sampled"] = Field("exact", description="squared error, exact or estimated from some frames")
    interpolation: Literal["linear", "hermite"] = Field(
        "linear", description="what fills, whose error the cost is: straight lines, or cubic splines (cost: exact)"
    )
    cost_samples: Count = Field(16, description="frames per segment of the sampled estimator")
    seed: int = Field(0, ge=0, description="seed of the sampled estimator")

    @model_validator(mode="after")
    def _increasing(self) -> MasksSettings:
        for name in ("levels", "nested_levels"):
            levels = getattr(self, name)
            if levels != sorted(set(levels)):
                raise ValueError(f"{name}={levels} must increase")
        if self.cost == "sampled" and self.interpolation != "linear":
            raise ValueError("interpolation: expected linear with cost: sampled")
        return self


class MazeNetworkSettings(NetworkSettings):
    """A transformer over tokens of a plan, with the route from start to goal."""

    route_width: Count = Field(512, description="width of the encoder of start, goal and map")
    route: Literal["search", "straight"] = Field(
        "search",
        description="what it is told of the way: where the shortest ones are, from the steps between cells, or the straight"
        " line alone, so that it sees occupancy and signed distance and no solved path",
    )


PhaseNetwork = Annotated[
    Annotated[MazeNetworkSettings, Tag("[ours]")] | Annotated[OwnNetworkSettings, Tag("[own]")], Discriminator(or_own)
]


class LearnedSettings(Section):
    """What is learned."""

    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class NetworkOfPlansSettings(LearnedSettings):
    """A network of a size."""

    network: MazeNetworkSettings = Field(default_factory=MazeNetworkSettings, description="size of the network")


class PhaseSettings(LearnedSettings):
    """A phase of planning."""

    network: PhaseNetwork = Field(
        default_factory=MazeNetworkSettings, description="size of the network, or a class of one's own"
    )


class WholePlansSettings(Section):
    """What corrects all T points at once, or makes them."""

    frames_per_token: Count = Field(2, description="frames that one token stands for; divides T")
    collision_weight: float = Field(50.0, ge=0, description="weight of the penalty on points near walls")
    collision_margin: float = Field(0.1, ge=0, description="distance to walls, in cells, below which it acts")


class SegmentCostSettings(NetworkOfPlansSettings):
    """D_phi, the model of the segment cost."""

    frames_per_token: Count = Field(8, description="frames that one token stands for; divides T")
    channels: Count = Field(32, description="features of a segment's first and of its last frame")
    pairs: Count = Field(64, description="segments per sequence and step")


class SelectorSettings(LearnedSettings):
    """The selector of keyframe indices; its network has D_phi's size, from which it starts."""

    condition_bias: Literal["none", "direct", "encoder"] = Field(
        "encoder", description="what is added to the time queries: start and goal, or an encoding of them and the map"
    )
    gumbel: float = Field(0.0, ge=0, description="Gumbel noise on the potentials in training")
    temperature: float = Field(1.0, gt=0, description="divides the potentials, at the first step of training")
    final_temperature: float = Field(1.0, gt=0, description="temperature at the last step, reached linearly")
    kl_to_uniform: float = Field(0.0, ge=0, description="weight of KL(density of keyframes || uniform)")


class KeyframesSettings(PhaseSettings):
    """Phase 1, the keyframe denoiser."""

    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [4, 8], min_length=1, description="numbers of keyframes K to train with"
    )
    mix: Annotated[dict[Policy, Fraction], Mix] = Field(
        {"selector": 0.5, "dp": 0.1, "uniform": 0.3, "random": 0.1},
        description="where the indices come from in training, with the share of each",
    )


class AnchorsSettings(Section):
    """The cache of phase-1 outputs that the refiner trains on."""

    policies: list[Policy] = Field(["selector", "uniform"], min_length=1, description="index policies to cache")
    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [4, 8], min_length=1, description="numbers of keyframes K to cache"
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


class RefinerSettings(PhaseSettings, WholePlansSettings):
    """Phase 2, the refiner."""

    mix: Annotated[dict[RankPolicy, Fraction], Mix] = Field(
        {"selector": 0.5, "uniform": 0.5},
        description="where the nested masks come from in training, with the share of each",
    )
    corruption: CorruptionSettings = Field(default_factory=CorruptionSettings, description="what it undoes")
    neighbours: bool = Field(
        False,
        description="tell each point the anchors on either side, velocities included; of our network alone",
    )
    initialise: bool = Field(True, description="start from phase 1's weights where shapes allow")

    @model_validator(mode="after")
    def _own_sees_for_itself(self) -> RefinerSettings:
        if self.neighbours and isinstance(self.network, OwnNetworkSettings):
            raise ValueError("neighbours: expected false with a network of one's own, which is told the whole sequence")
        return self


class SequenceDiffusionSettings(NetworkOfPlansSettings, WholePlansSettings):
    """The control without phases: diffusion over all T points, by phase 1's noise and phase 2's losses."""


class SamplingSettings(FrameBudgetSettings):
    """Plans for a held-out split, both phases."""

    split: Literal["test", "val"] = Field(
        "test", description="sequences: metrics.csv's are of test; settings are chosen on val"
    )
    planner: Literal["two_phase", "waypoints", "full_sequence", "shortest_path"] = Field(
        "two_phase",
        description="what plans: two phases; the way's features alone in the place of phase 1's keyframes; diffusion over all T"
        " points; or the search's path",
    )
    sequence_steps: Count = Field(8, description="denoising steps of planner full_sequence")
    policy: Policy = Field("selector", description="where phase 1's indices come from")
    keyframe_steps: Count = Field(6, description="denoising steps of phase 1")
    refiner: Literal["model", "identity", "projection"] = Field(
        "model", description="phase 2: the trained refiner, nothing, or pushing points out of walls along the SDF"
    )
    refiner_steps: Count = Field(1, description="levels that phase 2 runs over, coarse to fine; one pass each")
    noise: Literal["none", "constant", "level"] = Field(
        "level", description="noise on missing frames: none, constant, or as in the refiner's training"
    )
    noise_scale: float = Field(0.01, ge=0, description="deviation of that noise")
    seeds: Distinct[Annotated[int, Field(ge=0)]] = Field(
        [0, 1], min_length=1, description="sampling seeds, one row of metrics each"
    )
    n_per_layout: Count = Field(256, description="held-out sequences per layout, of a family one per maze")

    @model_validator(mode="after")
    def _auto_is_of_two_phases(self) -> SamplingSettings:
        if self.k == "auto" and self.planner != "two_phase":
            raise ValueError(f"k: auto is for planner two_phase, not {self.planner}")
        return self


NETWORKS = {
    "two_phase": ("segment_cost", "selector", "keyframes", "refiner"),
    "waypoints": ("segment_cost", "selector", "keyframes", "refiner"),
    "full_sequence": ("refiner", "sequence_diffusion"),
    "shortest_path": ("refiner",),
}
"""The stages whose networks a planner runs, by `sampling.planner`; a pass of the refiner is the unit of its compute."""
WITHOUT_PHASES = ("full_sequence", "shortest_path")
"""Planners that run no refiner but for that."""


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


class TimedPlannerSettings(Section):
    """One of our planners in the simulator."""

    variant: Name = Field(BASE, description="variant whose networks plan")
    candidates: Count = Field(3, description="plans to choose from, by time and clearance")
    redraws: int = Field(
        8,
        ge=0,
        description="times at most that as many are drawn anew, at other keyframes, for a plan that leaves free space",
    )
    retiming: RetimingSettings | None = Field(
        default_factory=RetimingSettings,
        description="drive as fast as the motors allow along the path; null: at the demonstrations' pace",
    )


class PlannerStageSettings(Section):
    """How the planner of a folder plans."""

    sampling: SamplingSettings = Field(description="both phases")
    planner: TimedPlannerSettings = Field(description="candidates and their timing")


class PlannerSettings(PlannerStageSettings):
    """What a planner's folder says beside its networks: also the sizes that these know."""

    frames: int = Field(ge=2, description="T, points per sequence")
    cells: Count = Field(description="side of the grid that its maps lie in")
    sdf_resolution: Count = Field(description="signed-distance samples per cell and axis")
