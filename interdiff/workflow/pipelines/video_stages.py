"""What the stages of the video pipeline are told: the parts of the configuration that each one's outputs depend on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interdiff.learning.settings import TrainingSettings
from interdiff.settings import Count, Name, Section
from interdiff.video.backbone.settings import BackboneSettings, GeneratedSettings
from interdiff.video.codec.settings import CodecSettings, CodecUse
from interdiff.video.data.settings import ClipsSettings, FolderSettings, HubSettings, LsmdcSettings, Split, TextSettings
from interdiff.video.interpolators.settings import InterpolatorSettings, MasksSettings, OpticalFlowSettings
from interdiff.video.planner.settings import (
    Adapted,
    AnchorsSettings,
    RefinerSettings,
    SamplesStageSettings,
    SegmentCostSettings,
    SelectorSettings,
)
from interdiff.workflow.variants import Variants


class CodecStageSettings(Section):
    """What the stage that fits the laptop's codec is told."""

    codec: CodecSettings = Field(description="the codec")
    rendered: ClipsSettings = Field(description="clips to fit it on")
    folder: FolderSettings | None = Field(description="or a folder of videos")
    digest: str = Field(description="of the folder's keys and captions")


class DecodingStageSettings(Section):
    """What a stage is told that turns latents into pixels, or back."""

    codec: CodecUse = Field(description="the codec")


class EncodingStageSettings(DecodingStageSettings):
    """What a stage is told that turns videos and captions into latents and embeddings."""

    text: TextSettings = Field(description="text encoder")


class ShardStageSettings(EncodingStageSettings):
    """What a shard of them is told."""

    number: int = Field(ge=0, description="number of the shard in its split")


class ClipsStageSettings(ShardStageSettings):
    """What a shard of rendered clips is told."""

    rendered: ClipsSettings = Field(description="the clips")
    split: Split = Field(description="split of the shard")


class DownloadStageSettings(Section):
    """What a shard from the hub is told."""

    hub: HubSettings = Field(description="the data set")
    number: int = Field(ge=0, description="number of the shard in it")


class VideoShardStageSettings(ShardStageSettings):
    """What a shard of videos from files is told."""

    frames: Count = Field(description="frames of a clip, 1 + 4 k")


class LsmdcStageSettings(VideoShardStageSettings):
    """What a shard of film clips is told."""

    lsmdc: LsmdcSettings = Field(description="the clips")


class VideosStageSettings(VideoShardStageSettings):
    """What a shard of a folder of videos is told."""

    folder: FolderSettings = Field(description="the videos")
    split: Split = Field(description="split of the shard")
    shards: Count = Field(description="shards of the split")
    digest: str = Field(description="of the shard's keys and captions")


class IndexStageSettings(Section):
    """What an index of shards is told."""

    kind: Literal["clips", "generated", "anchors", "optical_flow"] = Field(description="what the shards hold")
    partial: bool = Field(description="leave out samples that lack a column")


class NegativeStageSettings(Section):
    """What the negative prompt's embedding is told."""

    text: TextSettings = Field(description="text encoder")
    prompt: str = Field(description="the prompt")


class GeneratedStageSettings(Section):
    """What a shard of the backbone's clips is told."""

    generated: GeneratedSettings = Field(description="sampling")
    shift: float = Field(description="of noise levels")
    split: Split = Field(description="split of the shard: keys name clips within one, and none shares its noise")
    number: int = Field(ge=0, description="number of the shard in its split")


class SelectorStageSettings(Section):
    """What the training of the selector is told."""

    selector: SelectorSettings = Field(description="the selector")
    cost_levels: list[float] = Field(description="noise levels that D_phi is asked about, where it labels")

    @property
    def training(self) -> TrainingSettings:
        """The selector's."""
        return self.selector.training


class RenderedStageSettings(DecodingStageSettings):
    """How clips are rendered as they are needed."""

    clips: ClipsSettings = Field(description="the clips")
    text: TextSettings | None = Field(description="text encoder, where prompts are learned too")


class InterpolatorStageSettings(Section):
    """What the training of an interpolator is told."""

    interpolator: InterpolatorSettings = Field(description="the interpolator")
    rendered: RenderedStageSettings | None = Field(description="where clips are rendered for it")

    @property
    def training(self) -> TrainingSettings:
        """The interpolator's."""
        return self.interpolator.training


class BackboneStageSettings(Section):
    """What the training of the backbone is told."""

    backbone: BackboneSettings = Field(description="the backbone")
    rendered: RenderedStageSettings | None = Field(description="where clips are rendered for it")

    @property
    def training(self) -> TrainingSettings:
        """The backbone's."""
        return self.backbone.training


class CostTargetsStageSettings(Section):
    """What the teacher's costs of segments are told."""

    clips: Count = Field(description="clips that are measured, the first ones")
    pairs: Count = Field(description="segments of each")
    longest: Count = Field(description="longest segment, in frames")
    shift: float = Field(description="of noise levels")
    seed: int = Field(description="of segments, levels and noise")


class AnchorsStageSettings(Section):
    """What a shard of phase 1's outputs is told."""

    anchors: AnchorsSettings = Field(description="sampling")
    seed: int = Field(description="of random frames, and of noise that is not known")
    number: int = Field(ge=0, description="number of the shard")


class CorrectingStageSettings(Section):
    """What the training of a network is told that corrects filled clips."""

    max_gap_factor: float = Field(description="longest gap of nested masks, in uniform gaps")


class RefinerStageSettings(CorrectingStageSettings):
    """What the training of phase 2 is told."""

    refiner: RefinerSettings = Field(description="phase 2")

    @property
    def training(self) -> TrainingSettings:
        """Phase 2's."""
        return self.refiner.training


def learned_clips(variants: Variants, stage: str, variant: str) -> str:
    """Which clips a stage learns from: "generated_train" ones of the backbone, or the data's "train"."""
    return "generated_train" if variants.section(stage, variant)["source"] == "generated" else "train"


def cost_levels(variants: Variants, variant: str) -> list[float]:
    """The noise levels at which D_phi's costs choose keyframes."""
    return SegmentCostSettings(**variants.section("segment_cost", variant)).levels


def samples_settings(variants: Variants, variant: str) -> SamplesStageSettings:
    """What a variant samples with."""
    sampling, refiner = variants.section("samples", variant), variants.section("refiner", variant)
    student = "refiner" in sampling["distilled"]
    corrects = variants.section("distilled_refiner", variant) if student else refiner
    made: dict[Adapted, bool] = {
        "teacher": sampling["adapted"],
        "keyframes": sampling["method"] == "two_phase" and variants.section("keyframes", variant)["adapted"],
        "refiner": sampling["method"] == "two_phase"
        and sampling["refiner_steps"] > 0
        and refiner["adapted"]
        and not student,
    }
    return SamplesStageSettings(
        sampling=sampling,
        seed=variants.section("generated", variant)["seed"],
        max_gap_factor=variants.section("oracle", variant)["max_gap_factor"],
        levels=corrects["levels"],
        trained_noise=refiner["noise"],
        forced=corrects["missing_levels"] if student or refiner["objective"] == "forcing" else None,
        cost_levels=cost_levels(variants, variant) if sampling["k"] == "auto" else [],
        adapted=[name for name, adapted in made.items() if adapted],
    )


class MetricsStageSettings(Section):
    """What the comparison of methods is told."""

    methods: list[Name] = Field(description="variants, in this order")
    steps: list[int] = Field(description="steps of each")
    exact: Name = Field(description="the one that `distance` is from")
    reference: Name = Field(description="the one that the others are compared with")
    ladder: list[Name] = Field(description="those of ladder.csv, in this order")


class TuningStageSettings(Section):
    """What the choice of settings is told."""

    methods: list[Name] = Field(description="variants, in this order")
    changed: list[str] = Field(description="what each changes in sampling, from its parent")
    kinds: list[Name] = Field(description="how each samples; of each kind one is chosen")


class SamplePicturesStageSettings(DecodingStageSettings):
    """What the pictures of samples are told."""

    methods: list[Name] = Field(description="variants, in this order")
    teachers: list[Name] = Field(description="those that are the backbone itself on all frames")
    priced: list[Name] = Field(description="those of quality against cost: all that are given no part of a true clip")
    ladder: list[Name] = Field(description="those of the error ladder, in this order")
    drawn: Name = Field(description="whose keyframes are drawn")
    networks: list[str] = Field(description="what was trained for them, by network and variant")


class SelectionStageSettings(Section):
    """What the comparison of selectors is told."""

    k: list[Count] = Field(description="numbers of keyframes")
    selectors: list[Name] = Field(description="variants of the selector")
    segment_costs: list[Name] = Field(description="variants of D_phi")
    cost_levels: list[list[float]] = Field(description="noise levels that each is asked about")


class OpticalFlowStageSettings(DecodingStageSettings):
    """What a shard of optical flow's clips is told."""

    optical_flow: OpticalFlowSettings = Field(description="what fills")
    masks: MasksSettings = Field(description="masks that it fills")
    number: int = Field(ge=0, description="number of the shard")


class FillingStageSettings(DecodingStageSettings):
    """What a stage is told that fills masks and looks at pixels."""

    masks: MasksSettings = Field(description="masks that are filled")


class InterpolationStageSettings(FillingStageSettings):
    """What the figures of an interpolator, or of optical flow, are made with."""

    clips: Count = Field(description="clips, the first ones")


class ComparedStageSettings(Section):
    """Which interpolators are compared."""

    methods: list[Name] = Field(description="variants, and what fills in pixels, in this order")
    reference: Name = Field(description="the one that the others are compared with")


class InterpolatorsStageSettings(ComparedStageSettings):
    """What the comparison of interpolators is told."""

    split: Split = Field(description="split of the clips")


class InterpolationPicturesStageSettings(ComparedStageSettings, FillingStageSettings):
    """What the pictures of interpolators are told."""

    drawn: Name = Field(description="the one whose best, median and worst clips are drawn")
    networks: list[str] = Field(description="what was trained for them")
