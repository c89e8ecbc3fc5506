"""The video pipeline's configuration: every key, its type, default, bounds and meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from interdiff.errors import InputError
from interdiff.settings import Count, Name, Section, TrainingSettings
from interdiff.variants import BASE, Node, WithVariants, resolve

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
CodecKind = Literal["linear", "wan_vae"]
Source = Literal["clips", "hub", "lsmdc"]
TEACHER = "teacher"
"""Whose frames are compared with the variants' under this name."""
Weight = Annotated[float, Field(ge=0)]


class ClipsSettings(Section):
    """Videos rendered here."""

    side: Count = Field(32, description="pixels per side")
    frames: Count = Field(81, description="frames, 1 + 4 k")
    per_shard: Count = Field(200, description="clips per shard")
    seed: int = Field(0, ge=0, description="seed of the scenes")

    @field_validator("frames")
    @classmethod
    def _whole_latents(cls, frames: int) -> int:
        if frames % 4 != 1:
            raise ValueError(f"{frames} frames; expected 1 + 4 k")
        return frames


class HubSettings(Section):
    """Shards of a public data set, downloaded."""

    repository: str = Field("worstcoder/Wan_datasets", description="data set on the Hugging Face hub")
    revision: str = Field("main", description="its branch, tag or commit")
    file: str = Field(
        "Wan2.1_14B_480p_16:9_Euler-step100_shift-3.0_cfg-5.0_seed-0_250K/shard-{number:05d}.tar",
        description="path of a shard in it, by number; the splits take numbers one after the other",
    )

    @field_validator("file")
    @classmethod
    def _numbered(cls, file: str) -> str:
        try:
            if file.format(number=0) == file.format(number=1):
                raise ValueError("expected {number} in it, such as shard-{number:05d}.tar")
        except (KeyError, IndexError) as error:
            raise ValueError(f"expected {{number}} alone in braces, not {error}") from error
        return file


class LsmdcSettings(Section):
    """Film clips with descriptions, in LSMDC's layout."""

    annotations: dict[Split, str] = Field({}, description="annotation file of task 1 by split")
    videos: str = Field("videos", description="folder of the clips, with or without one folder per film")
    seconds: float = Field(5.0, gt=0, description="length of what is taken of a clip")
    crop: Literal["centre", "random"] = Field("centre", description="where in the clip")
    size: tuple[Count, Count] = Field((480, 832), strict=False, description="height and width in pixels")
    per_shard: Count = Field(256, description="clips per shard")
    seed: int = Field(0, ge=0, description="seed of random crops")


class CodecSettings(Section):
    """What turns videos into latents."""

    kind: CodecKind = Field("linear", description="principal components fitted on rendered clips, or Wan's VAE")
    factor: Count = Field(4, description="pixels per latent and axis (linear; Wan's are 8)")
    clips: Count = Field(200, description="clips that it is fitted on (linear)")
    folder: str | None = Field(None, description="folder of the VAE in diffusers' layout (wan_vae)")

    @model_validator(mode="after")
    def _has_folder(self) -> CodecSettings:
        if self.kind == "wan_vae" and self.folder is None:
            raise ValueError("folder: expected the VAE's, for kind wan_vae")
        return self


class TextSettings(Section):
    """The text encoder of prompts."""

    folder: str | None = Field(
        None, description="encoder in transformers' layout, such as Wan's text_encoder; null: MiniLM's package"
    )
    rows: Count = Field(64, description="rows of an embedding; longer prompts are cut")


class DataSettings(Section):
    """Shards of latents, embeddings and prompts."""

    source: Source = Field("clips", description="where they come from: rendered here, the hub, or film clips")
    shards: dict[Split, Count] = Field({"train": 10, "val": 1, "test": 1}, description="number of shards by split")
    clips: ClipsSettings = Field(default_factory=ClipsSettings, description="videos rendered here")
    hub: HubSettings = Field(default_factory=HubSettings, description="public shards")
    lsmdc: LsmdcSettings = Field(default_factory=LsmdcSettings, description="film clips")
    codec: CodecSettings = Field(default_factory=CodecSettings, description="videos to latents and back")
    text: TextSettings = Field(default_factory=TextSettings, description="prompts to embeddings")

    @model_validator(mode="after")
    def _consistent(self) -> DataSettings:
        for split in SPLITS:
            if split not in self.shards:
                raise ValueError(f"shards: no number for {split}")
            if self.source == "lsmdc" and split not in self.lsmdc.annotations:
                raise ValueError(f"lsmdc.annotations: no file for {split}")
        if self.source == "clips" and self.codec.kind == "linear" and self.clips.side % self.codec.factor:
            raise ValueError(f"codec.factor={self.codec.factor} does not divide clips.side={self.clips.side}")
        return self


class MasksSettings(Section):
    """Masks that interpolators are measured on, and that the teacher fills: random frames of each clip, with both ends."""

    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [2, 3, 4, 6, 8], min_length=1, description="numbers of known frames, one mask of each per clip"
    )
    seed: int = Field(0, ge=0, description="seed of the frames, together with the clip's key")


class TeacherSettings(Section):
    """The teacher of interpolators, in pixels."""

    kind: Literal["dis", "ldmvfi"] = Field("dis", description="dense optical flow, or LDMVFI")
    folder: str | None = Field(None, description="LDMVFI's checkout (ldmvfi)")
    checkpoint: str | None = Field(None, description="LDMVFI's weights (ldmvfi)")

    @model_validator(mode="after")
    def _configured(self) -> TeacherSettings:
        if self.kind == "ldmvfi" and None in (self.folder, self.checkpoint):
            raise ValueError("folder, checkpoint: both expected for kind ldmvfi")
        return self


class ShiftSettings(Section):
    """What a coupling of the straightener adds to one half of the channels, from the other half."""

    form: Literal["convolutional", "token"] = Field(
        "convolutional", description="residual convolutions, or a transformer over tokens"
    )
    width: Count = Field(48, description="channels, or width of the tokens")
    blocks: Count = Field(2, description="residual or attention blocks")
    patch: Count = Field(2, description="side of a token in latents (token)")
    heads: Count = Field(4, description="attention heads (token)")


class StraightenerSettings(Section):
    """S and R: a space where motion is straight."""

    couplings: Count = Field(4, description="additive couplings")
    shift: ShiftSettings = Field(default_factory=ShiftSettings, description="network of each coupling")
    straightness: Weight = Field(
        0.1, description="weight of the distance from straight lines, in the straightened space"
    )
    moments: Count = Field(4, description="moments between each pair")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class FlowSettings(Section):
    """The flow interpolator's network."""

    width: Count = Field(48, multiple_of=8, description="channels")
    pair_blocks: Count = Field(4, description="residual blocks that see the pair")
    time_blocks: Count = Field(2, description="residual blocks that see each moment")
    gap_conditioning: bool = Field(True, description="tell the network how many frames lie between")
    time_mask: bool = Field(True, description="the blend mask knows the moment")
    cost_radius: int = Field(3, ge=0, description="radius of the cost volume; 0 leaves it out")
    cost_scale: Count = Field(1, description="latents per place of the cost volume and axis")
    residual: bool = Field(True, description="add a learned correction")
    scale: Count = Field(4, description="flows, warps and masks are on a grid so many times as fine as the latents'")


class SinkhornSettings(Section):
    """The matching interpolator."""

    width: Count = Field(32, description="of the features that are compared")
    token: Count = Field(1, description="side of the squares of latents that are matched as one")
    radius: int = Field(2, ge=0, description="of the window around the globally shifted place, in tokens")
    iterations: Count = Field(8, description="of Sinkhorn's algorithm")
    correlation: Literal["mean", "multi", "none"] = Field("multi", description="of channels, in the global shift")
    correlation_level: Literal["latent", "token"] = Field("latent", description="what the global shift is found on")
    angles: list[float] = Field([0.0], min_length=1, description="degrees that the global alignment tries")
    spatial_weight: Weight = Field(0.1, description="of the squared distance, against the similarity")
    consistency: float = Field(1.0, gt=0, description="distance, in tokens, that a match may miss its way back by")


class LossSettings(Section):
    """Weights of the interpolators' losses."""

    absolute: Weight = Field(1.0, description="mean absolute error")
    gap_power: float = Field(0.0, description="pairs weigh as their gap to this power, in the mean absolute error")
    likelihood: Weight = Field(0.1, description="of the errors under the expected ones; calibrates the uncertainty")
    edges: Weight = Field(0.0, description="errors of differences between neighbours")
    scales: Weight = Field(0.0, description="errors averaged over squares of 2 and 4 latents")
    endpoint: Weight = Field(0.0, description="each endpoint warped onto the other (flow)")
    consistency: Weight = Field(0.0, description="flows there and back again (flow)")
    teacher: Weight = Field(0.0, description="mean absolute distance from the teacher's frames")


class InterpolatorSettings(Section):
    """What fills the missing frames."""

    method: Literal["lerp", "smooth", "flow", "sinkhorn"] = Field("flow", description="how")
    straightened: bool = Field(False, description="run inside the straightened space")
    flow: FlowSettings = Field(default_factory=FlowSettings, description="network of method flow")
    sinkhorn: SinkhornSettings = Field(default_factory=SinkhornSettings, description="network of method sinkhorn")
    losses: LossSettings = Field(default_factory=LossSettings, description="what it learns from")
    moments: Count = Field(4, description="moments between each pair of a training step")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class InterpolationSettings(Section):
    """Figures of an interpolator on held-out clips."""

    split: Split = Field("test", description="split of the clips")
    clips: Count = Field(200, description="clips, the first ones")


class VideoSettings(Section):
    """What a variant may change: one section per stage."""

    straightener: StraightenerSettings = Field(default_factory=StraightenerSettings, description="straightened space")
    interpolator: InterpolatorSettings = Field(default_factory=InterpolatorSettings, description="interpolator")


VIDEO_STAGES = {
    "straightener": Node("straightener"),
    "interpolator": Node("interpolator", ("straightener",)),
    "interpolation": Node("interpolator", ("interpolator",)),
}
"""The video's stages: each one's section of the settings, and what it reads."""


class CodecStageSettings(Section):
    """What the stage that fits the laptop's codec is told."""

    codec: CodecSettings = Field(description="the codec")
    rendered: ClipsSettings = Field(description="clips to fit it on")


class ClipsStageSettings(Section):
    """What a shard of rendered clips is told."""

    codec: CodecKind = Field(description="kind of the codec")
    rendered: ClipsSettings = Field(description="the clips")
    text: TextSettings = Field(description="text encoder")
    split: Split = Field(description="split of the shard")
    number: int = Field(ge=0, description="number of the shard in its split")


class DownloadStageSettings(Section):
    """What a shard from the hub is told."""

    hub: HubSettings = Field(description="the data set")
    number: int = Field(ge=0, description="number of the shard in it")


class LsmdcStageSettings(Section):
    """What a shard of film clips is told."""

    codec: CodecKind = Field(description="kind of the codec")
    lsmdc: LsmdcSettings = Field(description="the clips")
    text: TextSettings = Field(description="text encoder")
    frames: Count = Field(description="frames of a clip, 1 + 4 k")
    number: int = Field(ge=0, description="number of the shard in its split")


class TeacherStageSettings(Section):
    """What a shard of the teacher is told."""

    codec: CodecKind = Field(description="kind of the codec")
    teacher: TeacherSettings = Field(description="the teacher")
    masks: MasksSettings = Field(description="masks that it fills")
    number: int = Field(ge=0, description="number of the shard in its split")


class InterpolationStageSettings(Section):
    """What the figures of an interpolator, or of the teacher, are made with."""

    codec: CodecKind = Field(description="kind of the codec")
    masks: MasksSettings = Field(description="masks that are filled")
    clips: Count = Field(description="clips, the first ones")


class InterpolatorsStageSettings(Section):
    """What the comparison of interpolators is told."""

    methods: list[Name] = Field(description="variants, and the teacher, in this order")
    reference: Name = Field(description="the one that the others are compared with")
    split: Split = Field(description="split of the clips")


class InterpolationPicturesStageSettings(Section):
    """What the pictures of interpolators are told."""

    methods: list[Name] = Field(description="variants, and the teacher, in this order")
    reference: Name = Field(description="the one that the others are compared with")
    drawn: Name = Field(description="the one whose best, median and worst clips are drawn")
    networks: list[str] = Field(description="what was trained for them")
    codec: CodecKind = Field(description="kind of the codec")
    masks: MasksSettings = Field(description="masks that are filled")


class ReportSettings(Section):
    """What interpolators.csv and the report cover."""

    interpolators: list[Name] = Field([BASE], min_length=1, description="variants, in this order")
    reference: Name = Field(BASE, description="variant that the others are compared with, one of them")
    ablations: list[Name] = Field([], description="variants of interpolator_ablations.csv, beside the reference")
    include: list[Literal["ablations"]] = Field(
        [], description="what report.html shows beside; it is made if it is not there"
    )
    drawn: Name = Field(BASE, description="variant whose best, median and worst clips are drawn, one of them")

    @model_validator(mode="after")
    def _compared(self) -> ReportSettings:
        for key in ("reference", "drawn"):
            if getattr(self, key) not in self.interpolators or getattr(self, key) == TEACHER:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not a variant among interpolators")
        return self


class VideoConfig(WithVariants):
    """The video pipeline."""

    data: DataSettings = Field(default_factory=DataSettings, description="shards")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="masks that interpolators fill")
    teacher: TeacherSettings = Field(default_factory=TeacherSettings, description="teacher of interpolators")
    interpolation: InterpolationSettings = Field(
        default_factory=InterpolationSettings, description="figures of interpolators"
    )
    base: VideoSettings = Field(default_factory=VideoSettings, description="the settings that variants start from")
    report: ReportSettings = Field(default_factory=ReportSettings, description="what the report covers")

    @model_validator(mode="after")
    def _check(self) -> VideoConfig:
        self._resolved = resolve(self.base, self.variants, VIDEO_STAGES, "video.variants")
        if TEACHER in self._resolved.settings:
            raise InputError(f"variants.{TEACHER}: this name is taken by the teacher")
        for key in ("interpolators", "ablations"):
            for name in getattr(self.report, key):
                if name != TEACHER and name not in self._resolved.settings:
                    known = ", ".join(self._resolved.settings)
                    raise InputError(f"report.{key}: unknown variant {name!r}; expected one of {known}")
        return self
