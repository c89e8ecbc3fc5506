"""The video pipeline: its configuration, put together, and its stages."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from interdiff.errors import InputError
from interdiff.keyframes.gaps import nests
from interdiff.keyframes.nested_masks import levels_from, levels_of_steps
from interdiff.settings import BASE, RENAMED, Count, Distinct, Name, Section
from interdiff.video.backbone.settings import AdaptedSettings, BackboneSettings, GeneratedSettings
from interdiff.video.data.settings import DataSettings
from interdiff.video.data.sizes import MINILM, clip_of
from interdiff.video.distillation.settings import DistilledKeyframesSettings, DistilledSettings
from interdiff.video.evaluation.settings import InterpolationSettings
from interdiff.video.interpolators.settings import (
    IN_PIXELS,
    InterpolatorSettings,
    MasksSettings,
    OpticalFlowSettings,
    StraightenerSettings,
)
from interdiff.video.planner.settings import (
    AnchorsSettings,
    DistilledRefinerSettings,
    KeyframesSettings,
    OracleSettings,
    PreviewSettings,
    RefinerSettings,
    SamplingSettings,
    SegmentCostSettings,
    SelectorSettings,
)
from interdiff.workflow.variants import Node, WithVariants, resolve


class VideoSettings(Section):
    """What a variant may change: one section per stage."""

    straightener: StraightenerSettings = Field(default_factory=StraightenerSettings, description="straightened space")
    interpolator: InterpolatorSettings = Field(default_factory=InterpolatorSettings, description="interpolator")
    backbone: BackboneSettings = Field(default_factory=BackboneSettings, description="teacher")
    distilled: DistilledSettings = Field(default_factory=DistilledSettings, description="student of a few steps")
    distilled_keyframes: DistilledKeyframesSettings = Field(
        default_factory=DistilledKeyframesSettings, description="student of phase 1"
    )
    adapted: AdaptedSettings = Field(default_factory=AdaptedSettings, description="teacher with sparse attention")
    preview: PreviewSettings = Field(default_factory=PreviewSettings, description="a cheap look at the noise")
    generated: GeneratedSettings = Field(default_factory=GeneratedSettings, description="the teacher's clips")
    oracle: OracleSettings = Field(default_factory=OracleSettings, description="exact costs and best keyframes")
    segment_cost: SegmentCostSettings = Field(default_factory=SegmentCostSettings, description="D_phi")
    selector: SelectorSettings = Field(default_factory=SelectorSettings, description="selector")
    keyframes: KeyframesSettings = Field(default_factory=KeyframesSettings, description="phase 1")
    anchors: AnchorsSettings = Field(default_factory=AnchorsSettings, description="phase 1's outputs")
    refiner: RefinerSettings = Field(default_factory=RefinerSettings, description="phase 2")
    distilled_refiner: DistilledRefinerSettings = Field(
        default_factory=DistilledRefinerSettings, description="student that corrects filled clips"
    )
    sampling: SamplingSettings = Field(default_factory=SamplingSettings, description="samples of metrics.csv")

    @property
    def profiled_clips(self) -> int:
        """Of a step of phase 2 that is profiled on one device: no more than it learns at once, or samples."""
        return min(self.refiner.training.batch_size // self.refiner.training.accumulate, self.sampling.batch)


VIDEO_STAGES = {
    "straightener": Node("straightener"),
    "interpolator": Node("interpolator", ("straightener",)),
    "interpolation": Node("interpolator", ("interpolator",)),
    "backbone": Node("backbone"),
    "distilled": Node("distilled", ("backbone",)),
    "adapted": Node("adapted", ("backbone",)),
    "preview": Node("preview", ("backbone",)),
    "generated": Node("generated", ("backbone",)),
    "oracle": Node("oracle", ("generated",)),
    "segment_cost": Node("segment_cost", ("oracle",)),
    "selector": Node("selector", ("segment_cost", "preview")),
    "keyframes": Node("keyframes", ("oracle", "adapted")),
    "distilled_keyframes": Node("distilled_keyframes", ("keyframes",)),
    "anchors": Node("anchors", ("keyframes",)),
    "refiner": Node("refiner", ("anchors", "interpolator")),
    "distilled_refiner": Node("distilled_refiner", ("anchors", "interpolator")),
    "samples": Node("sampling", ("selector", "refiner", "distilled", "distilled_keyframes", "distilled_refiner")),
}
"""The video's stages: each one's section of the settings, and what it reads."""


class ReportSettings(Section):
    """What interpolators.csv and the report cover."""

    interpolators: Distinct[Name] = Field([BASE], min_length=1, description="variants, in this order")
    reference: Name = Field(BASE, description="variant that the others are compared with, one of them")
    ablations: Distinct[Name] = Field([], description="variants of interpolator_ablations.csv, beside the reference")
    methods: Distinct[Name] = Field([BASE], min_length=1, description="variants of metrics.csv, in this order")
    exact: Name = Field(BASE, description="the teacher at its best, from which `distance` is measured, one of them")
    clip: str | None = Field(
        None, description="folder of a CLIP in transformers' layout, whose figures of clips metrics.csv then has"
    )
    against: Name = Field(BASE, description="the one that the others are compared with, one of them")
    ladder: Distinct[Name] = Field(
        [],
        description="methods of ladder.csv, in this order: from ground truth to both phases, one loss after the other",
    )
    tuning: Distinct[Name] = Field(
        [], description="variants of tuning.csv, all of sampling.split: val; the first is what others are compared with"
    )
    attention: Distinct[Name] = Field(
        [], description="teachers of attention.csv; the others are compared with the first, whose attention is dense"
    )
    milestone: Distinct[Name] = Field(
        [], description="methods of milestone.csv, each with all its training seeds: quality against cost"
    )
    diverse: Distinct[Name] = Field(
        [], description="those of them that sample other noise, too, by which milestone.csv tells how diverse they are"
    )
    tunings: Distinct[Name] = Field([BASE], description="variants whose training of phase 1 is compared")
    selectors: Distinct[Name] = Field([BASE], description="variants whose selectors selection.csv compares")
    segment_costs: Distinct[Name] = Field([BASE], description="variants whose D_phi selection.csv compares")
    generated: bool = Field(True, description="selection.csv is of the backbone's clips, too, beside the data's")
    costs: Name = Field(BASE, description="variant by whose exact costs it judges, and takes keyframes for the best")
    include: list[Literal["ablations", "tuning", "attention", "milestone"]] = Field(
        [], description="what report.html shows beside; it is made if it is not there"
    )
    drawn: Name = Field(BASE, description="variant whose best, median and worst clips are drawn, one of them")

    @model_validator(mode="after")
    def _compared(self) -> ReportSettings:
        for key in ("reference", "drawn"):
            if getattr(self, key) not in self.interpolators or getattr(self, key) in IN_PIXELS:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not a variant among interpolators")
        compared = [("exact", self.exact), ("against", self.against), *(("ladder", name) for name in self.ladder)]
        for key, name in compared:
            if name not in self.methods:
                raise ValueError(f"{key}: {name!r} is not among methods")
        for name in self.diverse:
            if name not in self.milestone:
                raise ValueError(f"diverse: {name!r} is not in milestone")
        return self


class VideoConfig(WithVariants):
    """The video pipeline."""

    threads: Count = Field(1, description="threads per job; part of every stage's identity, since results depend on it")
    backbone_threads: Count = Field(1, description="threads of the backbone's training, for which most jobs wait")
    data: DataSettings = Field(default_factory=DataSettings, description="shards")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="masks that interpolators fill")
    optical_flow: OpticalFlowSettings = Field(
        default_factory=OpticalFlowSettings, description="frames in between by optical flow"
    )
    negative_prompt: str = Field("", description="prompt that guidance leads away from")
    interpolation: InterpolationSettings = Field(
        default_factory=InterpolationSettings, description="figures of interpolators"
    )
    base: VideoSettings = Field(default_factory=VideoSettings, description="the settings that variants start from")
    report: ReportSettings = Field(default_factory=ReportSettings, description="what the report covers")

    def in_pixels(self, name: str) -> OpticalFlowSettings:
        """What fills in pixels under a name of `IN_PIXELS`."""
        return self.optical_flow if name == "optical_flow" else OpticalFlowSettings(kind="rife")

    @model_validator(mode="after")
    def _check(self) -> VideoConfig:
        self._resolved = resolve(self.base, self.variants, VIDEO_STAGES, "video.variants", self.seeds)
        for name in IN_PIXELS:
            if name in self._resolved.settings:
                raise InputError(f"variants.{name}: this name is taken by what fills in pixels")
        for key in (
            "interpolators",
            "ablations",
            "methods",
            "tuning",
            "attention",
            "milestone",
            "tunings",
            "selectors",
            "segment_costs",
            "costs",
        ):
            names = getattr(self.report, key)
            for name in [names] if isinstance(names, str) else names:
                if name not in IN_PIXELS and name not in self._resolved.settings:
                    known = f"expected one of {', '.join(self._resolved.settings)}"
                    hint = f"renamed to {RENAMED[name]!r}" if name in RENAMED else known
                    raise InputError(f"report.{key}: unknown variant {name!r}; {hint}")
        for name in self.report.selectors:
            if not self.report.generated and self._resolved.section("selector", name)["preview"]:
                raise InputError(f"report.selectors: {name!r} looks at noise, which report.generated: true would bring")
            if self._resolved.owner("preview", name) != BASE:
                raise InputError(
                    f"report.selectors: {name!r} has a preview of its own; all look at the same clips by base's"
                )
        if BASE not in self.report.methods:
            raise InputError(f"report.methods: expected {BASE!r} among them, whose keyframes are drawn")
        for name in self.report.attention:
            if self._resolved.section("samples", name)["method"] != "teacher":
                raise InputError(f"report.attention: {name!r} is no teacher; expected sampling.method: teacher")
        for key, split in (("methods", "test"), ("attention", "test"), ("milestone", "test"), ("tuning", "val")):
            for name in getattr(self.report, key):
                if (found := self._resolved.section("samples", name)["split"]) != split:
                    raise InputError(f"report.{key}: {name!r} samples the split {found}; expected {split}")
        for name in dict.fromkeys([BASE, *self.report.methods, *self.report.tuning, *self.report.milestone]):
            self._check_keyframes(name, VideoSettings(**self._resolved.settings[name]))
        for name, settings in self._resolved.settings.items():
            prefix = name if name == BASE else f"variants.{name}"
            self._check_tokens(name, VideoSettings(**settings))
            self._check_students(name, VideoSettings(**settings))
            if settings["interpolator"]["pretrained"] and not self.data.codec.folder:
                raise InputError(
                    f"{prefix}.interpolator.pretrained: expected null for a codec of your own (data.codec.folder: null)"
                )
            for stage in ("backbone", "interpolator"):
                if settings[stage]["clips"] == "rendered" and self.data.source != "clips":
                    raise InputError(f"{prefix}.{stage}.clips: expected shards with data.source: {self.data.source}")
        return self

    def _check_students(self, name: str, settings: VideoSettings) -> None:
        """Students learn to take the steps that they are sampled with."""
        prefix, sampling = name if name == BASE else f"variants.{name}", settings.sampling
        used = {f"distilled_{phase}": False for phase in sampling.distilled}
        if sampling.method in ("student", "unguided"):
            used["distilled"] = sampling.method == "unguided"
        for stage, many in used.items():
            if (getattr(settings, stage).consistency == "guidance") != many:
                expected = "guidance" if many else "continuous or discrete"
                raise InputError(f"{prefix}.{stage}.consistency: expected {expected} for how it is sampled")
        first = settings.keyframes
        sparse = first.adapted or first.tuning.attention.kind != "dense"
        if "keyframes" in sampling.distilled and sparse and settings.distilled_keyframes.consistency == "continuous":
            raise InputError(
                f"{prefix}.distilled_keyframes.consistency: expected discrete for phase 1's sparse attention"
            )

    def _check_tokens(self, name: str, settings: VideoSettings) -> None:
        """Squares of latents that are taken as one fill their frames."""
        clip, matching, shift = clip_of(self.data, MINILM), settings.interpolator, settings.straightener.shift
        sides = {
            "interpolator.sinkhorn.token": matching.sinkhorn.token if matching.method == "sinkhorn" else 1,
            "straightener.shift.patch": shift.patch if shift.form == "token" else 1,
            "backbone.transformer.patch": 1 if settings.backbone.pretrained else settings.backbone.transformer.patch,
        }
        for key, side in sides.items():
            if clip.height % side or clip.width % side:
                prefix = name if name == BASE else f"variants.{name}"
                raise InputError(f"{prefix}.{key}: {side} does not divide the latents' {clip.height} x {clip.width}")

    def _check_keyframes(self, name: str, settings: VideoSettings) -> None:
        """Numbers of keyframes fit the clips, phase 1 learns them and starts from what there is, and nested masks can grow."""
        prefix, frames = name if name == BASE else f"variants.{name}", self.data.clips.latent_frames
        if settings.sampling.start < 1 and not settings.selector.preview:
            raise InputError(f"{prefix}.sampling.start: expected 1 without selector.preview, whose look it starts from")
        corrects = "distilled_refiner" if "refiner" in settings.sampling.distilled else "refiner"
        levels = getattr(settings, corrects).levels
        for key, counts in (("oracle.k", settings.oracle.k), (f"{corrects}.levels", levels)):
            if max(counts) > frames:
                raise InputError(f"{prefix}.{key}: {max(counts)} exceeds T, the {frames} frames of latents")
        grown = [("anchors.k", settings.anchors.k, "random" in settings.anchors.policies)]
        if settings.sampling.method == "two_phase":
            key, anywhere = (
                "auto_counts" if settings.sampling.k == "auto" else "k",
                settings.sampling.selector == "random",
            )
            grown += [(f"sampling.{key}", k, anywhere) for k in settings.sampling.counts]
            if settings.sampling.refiner_steps and corrects == "refiner" and settings.refiner.objective == "energy":
                for k in settings.sampling.counts:
                    levels_of_steps(levels, k, settings.sampling.refiner_steps, f"{prefix}.sampling.refiner_steps")
        for key, k, anywhere in grown:
            if k not in settings.oracle.k:
                raise InputError(f"{prefix}.{key}: {k} is not in oracle.k={settings.oracle.k}, which phase 1 learns")
            factor = settings.oracle.max_gap_factor
            for coarse, fine in pairwise(levels_from(levels, k)):
                longest = frames - 1 if anywhere and coarse == k else None
                if not nests(frames, coarse, fine, factor, longest):
                    raise InputError(
                        f"{prefix}.{corrects}.levels: {fine} follows {coarse}, from {key}, too closely for the largest gaps"
                        f" of its masks, oracle.max_gap_factor={factor}"
                    )
