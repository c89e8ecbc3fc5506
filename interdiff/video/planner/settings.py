"""Settings of both phases, D_phi, the selector and its preview, and of sampling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interdiff.keyframes.settings import CountOrAuto, FrameBudgetSettings
from interdiff.learning.settings import BlockwiseTrainingSettings, CompiledBlocks, NetworkSettings, TrainingSettings
from interdiff.settings import Count, Fraction, Mix, Name, Section, Weight
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.backbone.settings import NoiseShift, TunedSettings
from interdiff.video.distillation.settings import PASSES, STEPS, StudentSettings

LEAST = 3
"""Keyframes of a clip that is sampled: both ends, and one to choose."""
Source = Literal["generated", "shards"]
"""Whose clips: those that the backbone makes of prompts, or the data's own."""
SELECTED = "selector"
"""The way to choose keyframes that looks at prompts."""
ORACLE = "oracle"
"""The way that looks at the clips themselves."""
SCHEDULES = ("fixed", "uniform", "random")
"""The ways that look at neither."""


class PreviewSettings(Section):
    """The preview: first blocks of the backbone, which learn to say in one cheap pass what noise will become."""

    layers: Count = Field(2, description="blocks, the backbone's first ones")
    ffn_dim: Count = Field(320, description="units of their feed-forward layers, the first ones")
    level: float = Field(0.9, gt=0, le=1, description="noise level that the noise is taken for")
    training: BlockwiseTrainingSettings = Field(default_factory=BlockwiseTrainingSettings, description="its training")


class OracleSettings(Section):
    """Exact costs of filling every segment of a clip, and the best keyframes."""

    costs: Literal["line", "straightened", "interpolator"] = Field(
        "line", description="what fills: a straight line, one in the straightened space, or an interpolator"
    )
    of: Name | None = Field(None, description="variant whose straightener or interpolator it is")
    k: list[Annotated[int, Field(ge=3)]] = Field([4, 6, 8], min_length=1, description="numbers of keyframes")
    max_gap_factor: float = Field(3.0, ge=1, description="longest gap, in uniform gaps")

    @model_validator(mode="after")
    def _named(self) -> OracleSettings:
        if (self.costs == "line") != (self.of is None):
            raise ValueError(f"of: expected {'no variant' if self.costs == 'line' else 'a variant'} for {self.costs}")
        return self


class FramesNetworkSettings(NetworkSettings):
    """A transformer over a clip's frames that attends to the prompt."""

    features: Count = Field(32, description="of a frame as a segment's first, and as its last")
    text: Literal["attention", "pooled"] = Field("attention", description="how it reads the prompt, without padding")


class PredictorSettings(Section):
    """What is predicted for a clip's frames."""

    network: FramesNetworkSettings = Field(default_factory=FramesNetworkSettings, description="size")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class SegmentCostSettings(PredictorSettings):
    """D_phi: what filling a segment will cost, from the prompt."""

    targets: Literal["latents", "teacher"] = Field(
        "latents", description="squared error of latents, or of the teacher's velocity when it sees the filled clip"
    )
    clips: Count = Field(300, description="clips whose segments are measured (teacher)")
    pairs: Count = Field(8, description="segments measured of each (teacher)")

    @property
    def levels(self) -> list[float]:
        """The noise levels whose costs choose keyframes; 0 stands for latents."""
        return [0.1, 0.3, 0.5, 0.7, 0.9] if self.targets == "teacher" else [0.0]


class SelectorSettings(PredictorSettings):
    """The selector: keyframes from the prompt, and from a look at what the noise will become."""

    preview: bool = Field(True, description="look at what the noise will become, by the preview")
    source: Source = Field(
        "generated", description="clips to learn from: the backbone's, which a look needs, or the data's"
    )
    labels: Literal["oracle", "segment_cost"] = Field("oracle", description="whose best keyframes it learns")
    path_weight: Weight = Field(
        0.1, description="of the likelihood of the best keyframes, beside the costs of segments"
    )
    uniform_weight: Weight = Field(0.0, description="of the distance from uniformly spread keyframes (entropy control)")

    @model_validator(mode="after")
    def _has_noise(self) -> SelectorSettings:
        if self.preview and self.source != "generated":
            raise ValueError("source: expected generated, for a look at their noise")
        if self.preview and not self.path_weight:
            raise ValueError("path_weight: expected above 0, for what a look is worth is learned from paths")
        return self


class PhaseSettings(TunedSettings):
    """A phase of generation."""

    adapted: bool = Field(False, description="made of the adapted backbone, whose attention is sparse")


Policy = Literal["oracle", "uniform", "random"]


class KeyframesSettings(PhaseSettings):
    """Phase 1: the backbone on K frames alone."""

    source: Source = Field(
        "generated", description="clips to learn from: the backbone's with the noise they came from, or the data's"
    )
    shift: NoiseShift = 3.0
    mix: Annotated[dict[Policy, Weight], Mix] = Field(
        {"oracle": 0.5, "uniform": 0.1, "random": 0.4}, description="share of samples by who chose their frames"
    )
    drop_prompt: Fraction = Field(0.0, description="share of clips trained on without their prompt, for guidance")


class DenoisingSettings(Section):
    """Steps from noise to clips, or to some of their frames."""

    steps: Count = Field(4, description="steps of the backbone, or of phase 1")
    shift: NoiseShift = 3.0
    guidance: float = Field(1.0, ge=1, description="scale of classifier-free guidance; two passes a step above 1")
    guided_below: Fraction = Field(1.0, description="noise level above which guidance is left out")


class AnchorsSettings(DenoisingSettings):
    """Phase 1's outputs for training clips: the errors that phase 2 will meet, and the clips that it learns."""

    source: Source = Field("shards", description="whose clips: the backbone's, or the data's")
    shards: Count = Field(4, description="training shards, the first ones, or as many as there are")
    k: Count = Field(4, description="keyframes")
    start: float = Field(
        0.5, gt=0, le=1, description="noise level they start at; below 1 from the clip's own noised keyframes"
    )
    policies: list[Policy] = Field(["oracle", "random"], min_length=1, description="who chose the frames, one set each")
    batch: Count = Field(20, description="clips at once")
    compile: CompiledBlocks = "no"
    partial: bool = Field(False, description="leave out samples that lack a column, and learn the others")

    @model_validator(mode="after")
    def _has_noise(self) -> AnchorsSettings:
        if self.start == 1 and self.source != "generated":
            raise ValueError("start: expected below 1 but for source generated, whose noise is known")
        return self


class FilledSettings(Section):
    """Filled clips, as what corrects them meets them."""

    missing_levels: tuple[Fraction, Fraction] = Field(
        (0.3, 0.8),
        strict=False,
        description="least and largest noise level of missing frames, where noise hides the interpolator's expected error",
    )
    replace_probability: Fraction = Field(0.8, description="share of samples whose anchors are phase 1's")
    jitter: Weight = Field(0.02, description="deviation of errors of exact anchors")
    levels: list[Count] = Field([4, 8, 12], min_length=1, description="keyframes of the nested masks, coarse to fine")

    @model_validator(mode="after")
    def _increasing(self) -> FilledSettings:
        if self.levels != sorted(set(self.levels)):
            raise ValueError(f"levels: {self.levels} must increase")
        if self.missing_levels[0] > self.missing_levels[1]:
            raise ValueError(f"missing_levels: {list(self.missing_levels)}; expected the least first")
        return self


class RefinerSettings(PhaseSettings, FilledSettings):
    """Phase 2: the backbone on the whole, filled clip."""

    objective: Literal["energy", "forcing"] = Field(
        "energy",
        description="energy score of filled clips; or velocity, with noise that hides the interpolator's expected error",
    )
    noise: Weight = Field(0.5, description="on missing frames, in expected errors of the interpolator (energy)")


class DistilledRefinerSettings(StudentSettings, FilledSettings):
    """A student of the backbone, which corrects filled clips in one or two passes."""


Phase = Literal["keyframes", "refiner"]


class SamplingSettings(DenoisingSettings, FrameBudgetSettings):
    """What is sampled for metrics.csv."""

    method: Literal["teacher", "unguided", "student", "two_phase", "real"] = Field(
        "two_phase",
        description="the backbone on all frames, with its guidance distilled away, or its steps too, both phases,"
        " or the test clips themselves",
    )
    adapted: bool = Field(False, description="the teacher is the adapted backbone; of two phases each says so itself")
    attention: AttentionSettings = Field(
        default_factory=AttentionSettings, description="the teacher's among a clip's tokens, without learning it"
    )
    exact: Literal["nothing", "keyframes", "rest"] = Field(
        "nothing", description="what ground truth stands in for: phase 1's keyframes, or all that is between them"
    )
    start: float = Field(
        1.0, gt=0, le=1, description="noise level that phase 1 starts at; below 1 from what the selector's look shows"
    )
    distilled: list[Phase] = Field([], description="phases whose students sample in their place")
    k: CountOrAuto = Field(
        4,
        description="K, keyframes; auto: for each clip the least of auto_counts whose predicted cost is tolerable",
    )
    selector: Literal["selector", "fixed", "uniform", "random", "oracle"] = Field(
        "selector",
        description="who chooses them; oracle: dynamic programming over straight lines' costs of the clips that exact puts in",
    )
    refiner_steps: int = Field(1, ge=0, description="steps of phase 2; 0: interpolation stands")
    noise: Fraction = Field(1.0, description="share of phase 2's training noise that is added")
    split: Literal["test", "val"] = Field("test", description="prompts: metrics.csv's are of test, tuning.csv's of val")
    clips: Count = Field(64, description="prompts of the split, the first ones")
    batch: Count = Field(8, description="clips at once")
    compile: CompiledBlocks = "no"
    reuse: Count = Field(
        1, description="steps that what sparse attention chooses in one of them serves: 1 chooses in every step"
    )
    sage: bool = Field(False, description="sparse attention by the int8 kernels of spas_sage_attn, which cannot train")

    @model_validator(mode="after")
    def _two_phases(self) -> SamplingSettings:
        few = self.method == "student" or "keyframes" in self.distilled
        if few and (self.steps > STEPS or self.guidance != 1):
            key = "method" if self.method == "student" else "distilled"
            raise ValueError(
                f"{key}: a student takes 1 to {STEPS} steps and guidance 1, which is part of what it learned"
            )
        if self.method == "unguided" and self.guidance != 1:
            raise ValueError("guidance: expected 1 with method unguided, which learned it")
        if self.distilled and self.method != "two_phase":
            raise ValueError(f"distilled: expected no phases with method {self.method}")
        if "refiner" in self.distilled and not 1 <= self.refiner_steps <= PASSES:
            raise ValueError(f"refiner_steps: expected 1 to {PASSES} for phase 2's student, as it learned")
        if min(self.counts) < LEAST:
            raise ValueError(f"k: {min(self.counts)} keyframes; expected at least {LEAST}")
        if self.start < 1 and (
            self.method != "two_phase" or self.selector != SELECTED or "keyframes" in self.distilled
        ):
            raise ValueError("start: expected 1 but for phase 1 itself, with a selector that looks")
        if self.k == "auto" and self.method != "two_phase":
            raise ValueError(f"k: expected a number with method {self.method}")
        if self.adapted and self.method != "teacher":
            raise ValueError(f"adapted: expected false with method {self.method}")
        if self.attention.kind != "dense" and (self.adapted or self.method != "teacher"):
            raise ValueError("attention.kind: expected dense but for a teacher that is not adapted")
        if self.exact != "nothing" and self.method != "two_phase":
            raise ValueError(f"exact: expected nothing with method {self.method}")
        if self.selector == ORACLE and (self.exact == "nothing" or self.k == "auto"):
            raise ValueError("selector: expected no oracle without exact clips to look at, nor with k: auto")
        if self.exact == "rest" and self.refiner_steps:
            raise ValueError("refiner_steps: expected 0 with exact: rest, which leaves phase 2 nothing to correct")
        return self


Adapted = Literal["teacher", "keyframes", "refiner"]


class SamplesStageSettings(Section):
    """What sampling is told: its own settings, and those of what it samples with."""

    sampling: SamplingSettings = Field(description="the method")
    seed: int = Field(description="of the noise, together with the key")
    max_gap_factor: float = Field(description="longest gap, in uniform gaps")
    levels: list[Count] = Field(description="keyframes of phase 2's nested masks")
    trained_noise: float = Field(description="noise that phase 2 was trained with")
    forced: tuple[float, float] | None = Field(
        None, strict=False, description="noise levels of missing frames, where phase 2 learned by forcing"
    )
    cost_levels: list[float] = Field(
        [], description="noise levels whose costs, as D_phi predicts them, choose K (auto)"
    )
    adapted: list[Adapted] = Field([], description="networks that are, or are made of, the adapted backbone")
