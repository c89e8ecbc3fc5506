"""The video pipeline's configuration: every key, its type, default, bounds and meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from interdiff.errors import InputError
from interdiff.settings import Count, Fraction, Name, NetworkSettings, Section, TrainingSettings
from interdiff.variants import BASE, Node, WithVariants, resolve

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
CodecKind = Literal["linear", "wan_vae"]
Source = Literal["clips", "hub", "lsmdc"]
SELECTED = "selector"
"""The way to choose keyframes that looks at prompts."""
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
    partial: bool = Field(False, description="leave out samples that lack a column, and learn the others")

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

    @model_validator(mode="after")
    def _has_flows(self) -> InterpolatorSettings:
        if (self.losses.endpoint or self.losses.consistency) and (self.method != "flow" or self.straightened):
            raise ValueError("losses.endpoint: expected 0, as losses.consistency, but for method flow of plain latents")
        return self


class TransformerSettings(Section):
    """A Wan transformer that is trained here."""

    num_layers: Count = Field(6, description="blocks")
    num_attention_heads: Count = Field(3, description="attention heads")
    attention_head_dim: Count = Field(64, multiple_of=2, description="channels of a head")
    ffn_dim: Count = Field(576, description="hidden channels of the feed-forward layers")
    patch: Count = Field(2, description="latents per token and axis")


class BackboneSettings(Section):
    """The teacher: what both phases start from, and what they are compared with."""

    pretrained: str | None = Field(
        None, description="folder of a Wan transformer in diffusers' layout; null: one is trained here"
    )
    transformer: TransformerSettings = Field(default_factory=TransformerSettings, description="the one trained here")
    shift: float = Field(3.0, ge=1, description="of noise levels in training, towards noise")
    drop_prompt: Fraction = Field(0.1, description="share of clips trained on without their prompt, for guidance")
    frames: list[Count] = Field(
        [5, 9], description="numbers of random frames that batches have in the first part of training"
    )
    frames_until: Fraction = Field(0.8, description="where that part ends; from there on all frames")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class PreviewSettings(Section):
    """The preview: first blocks of the backbone, which learn to say in one cheap pass what noise will become."""

    layers: Count = Field(2, description="blocks, the backbone's first ones")
    ffn_dim: Count = Field(320, description="units of their feed-forward layers, the first ones")
    level: float = Field(0.9, gt=0, le=1, description="noise level that the noise is taken for")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class GeneratedSettings(Section):
    """Clips that the backbone makes of prompts, from noise that is kept: what phases 1 and 2 learn to reach in fewer steps."""

    shards: dict[Literal["train", "test"], Count] = Field(
        {"train": 3, "test": 1}, description="number of shards by split, the first ones: one clip per prompt"
    )
    steps: Count = Field(10, description="steps of UniPC (Zhao et al. 2023)")
    guidance: float = Field(3.0, ge=1, description="scale of classifier-free guidance")
    seed: int = Field(0, ge=0, description="of the noise, together with the key")


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


class SegmentCostSettings(Section):
    """D_phi: what filling a segment will cost, from the prompt."""

    targets: Literal["latents", "teacher"] = Field(
        "latents", description="squared error of latents, or of the teacher's velocity when it sees the filled clip"
    )
    clips: Count = Field(300, description="clips whose segments are measured (teacher)")
    pairs: Count = Field(8, description="segments measured of each (teacher)")
    network: FramesNetworkSettings = Field(default_factory=FramesNetworkSettings, description="size")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")

    @property
    def levels(self) -> list[float]:
        """The noise levels whose costs choose keyframes; 0 stands for latents."""
        return [0.1, 0.3, 0.5, 0.7, 0.9] if self.targets == "teacher" else [0.0]


class SelectorSettings(Section):
    """The selector: keyframes from the prompt, and from a look at what the noise will become."""

    preview: bool = Field(True, description="look at what the noise will become, by the preview")
    source: Literal["generated", "shards"] = Field(
        "generated", description="clips to learn from: the backbone's, which a look needs, or the data's"
    )
    labels: Literal["oracle", "segment_cost"] = Field("oracle", description="whose best keyframes it learns")
    path_weight: Weight = Field(
        0.1, description="of the likelihood of the best keyframes, beside the costs of segments"
    )
    uniform_weight: Weight = Field(0.0, description="of the distance from uniformly spread keyframes (entropy control)")
    network: FramesNetworkSettings = Field(default_factory=FramesNetworkSettings, description="size")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")

    @model_validator(mode="after")
    def _has_noise(self) -> SelectorSettings:
        if self.preview and self.source != "generated":
            raise ValueError("source: expected generated, for a look at their noise")
        if self.preview and not self.path_weight:
            raise ValueError("path_weight: expected above 0, for what a look is worth is learned from paths")
        return self


class TuningSettings(Section):
    """How a network is made of the backbone."""

    kind: Literal["lora", "full"] = Field("full", description="low-rank changes of linear layers, or all weights")
    rank: Count = Field(8, description="of the changes (lora)")
    gradient_checkpointing: bool = Field(False, description="less memory, a third more arithmetic")


Policy = Literal["oracle", "uniform", "random"]


class KeyframesSettings(Section):
    """Phase 1: the backbone on K frames alone."""

    tuning: TuningSettings = Field(default_factory=TuningSettings, description="what is trained")
    source: Literal["generated", "shards"] = Field(
        "generated", description="clips to learn from: the backbone's with the noise they came from, or the data's"
    )
    shift: float = Field(3.0, ge=1, description="of noise levels, towards noise")
    mix: dict[Policy, Weight] = Field(
        {"oracle": 0.5, "uniform": 0.1, "random": 0.4}, description="share of samples by who chose their frames"
    )
    drop_prompt: Fraction = Field(0.0, description="share of clips trained on without their prompt, for guidance")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")

    @model_validator(mode="after")
    def _has_a_policy(self) -> KeyframesSettings:
        if not any(self.mix.values()):
            raise ValueError("mix: expected a share above 0")
        return self


class AnchorsSettings(Section):
    """Phase 1's outputs for training clips: the errors that phase 2 will meet, and the clips that it learns."""

    source: Literal["generated", "shards"] = Field("shards", description="whose clips: the backbone's, or the data's")
    shards: Count = Field(4, description="training shards, the first ones, or as many as there are")
    k: Count = Field(4, description="keyframes")
    steps: Count = Field(4, description="steps of phase 1")
    start: float = Field(
        0.5, gt=0, le=1, description="noise level they start at; below 1 from the clip's own noised keyframes"
    )
    guidance: float = Field(1.0, ge=1, description="scale of classifier-free guidance")
    policies: list[Policy] = Field(["oracle", "random"], min_length=1, description="who chose the frames, one set each")
    partial: bool = Field(False, description="leave out samples that lack a column, and learn the others")

    @model_validator(mode="after")
    def _has_noise(self) -> AnchorsSettings:
        if self.start == 1 and self.source != "generated":
            raise ValueError("start: expected below 1 but for source generated, whose noise is known")
        return self


class RefinerSettings(Section):
    """Phase 2: the backbone on the whole, filled clip."""

    tuning: TuningSettings = Field(default_factory=TuningSettings, description="what is trained")
    replace_probability: Fraction = Field(0.8, description="share of samples whose anchors are phase 1's")
    jitter: Weight = Field(0.02, description="deviation of errors of exact anchors")
    noise: Weight = Field(0.5, description="on missing frames, in expected errors of the interpolator")
    levels: list[Count] = Field([4, 8, 12], min_length=1, description="keyframes of the nested masks, coarse to fine")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")


class SamplingSettings(Section):
    """What is sampled for metrics.csv."""

    method: Literal["teacher", "two_phase"] = Field(
        "two_phase", description="the backbone on all frames, or both phases"
    )
    steps: Count = Field(4, description="steps of the backbone, or of phase 1")
    guidance: float = Field(1.0, ge=1, description="scale of classifier-free guidance; two passes a step above 1")
    guided_below: Fraction = Field(1.0, description="noise level above which guidance is left out")
    shift: float = Field(3.0, ge=1, description="of noise levels, towards noise")
    k: Annotated[int, Field(ge=3)] = Field(4, description="keyframes")
    selector: Literal["selector", "fixed", "uniform", "random"] = Field("selector", description="who chooses them")
    refiner_steps: int = Field(1, ge=0, description="steps of phase 2; 0: interpolation stands")
    noise: Fraction = Field(1.0, description="share of phase 2's training noise that is added")
    clips: Count = Field(64, description="test prompts, the first ones")
    batch: Count = Field(8, description="clips at once")


class InterpolationSettings(Section):
    """Figures of an interpolator on held-out clips."""

    split: Split = Field("test", description="split of the clips")
    clips: Count = Field(200, description="clips, the first ones")


class VideoSettings(Section):
    """What a variant may change: one section per stage."""

    straightener: StraightenerSettings = Field(default_factory=StraightenerSettings, description="straightened space")
    interpolator: InterpolatorSettings = Field(default_factory=InterpolatorSettings, description="interpolator")
    backbone: BackboneSettings = Field(default_factory=BackboneSettings, description="teacher")
    preview: PreviewSettings = Field(default_factory=PreviewSettings, description="a cheap look at the noise")
    generated: GeneratedSettings = Field(default_factory=GeneratedSettings, description="the teacher's clips")
    oracle: OracleSettings = Field(default_factory=OracleSettings, description="exact costs and best keyframes")
    segment_cost: SegmentCostSettings = Field(default_factory=SegmentCostSettings, description="D_phi")
    selector: SelectorSettings = Field(default_factory=SelectorSettings, description="selector")
    keyframes: KeyframesSettings = Field(default_factory=KeyframesSettings, description="phase 1")
    anchors: AnchorsSettings = Field(default_factory=AnchorsSettings, description="phase 1's outputs")
    refiner: RefinerSettings = Field(default_factory=RefinerSettings, description="phase 2")
    sampling: SamplingSettings = Field(default_factory=SamplingSettings, description="samples of metrics.csv")

    @model_validator(mode="after")
    def _has_keyframes(self) -> VideoSettings:
        if self.anchors.k not in self.oracle.k:
            raise ValueError(f"anchors.k: {self.anchors.k} is not in oracle.k")
        return self


VIDEO_STAGES = {
    "straightener": Node("straightener"),
    "interpolator": Node("interpolator", ("straightener",)),
    "interpolation": Node("interpolator", ("interpolator",)),
    "backbone": Node("backbone"),
    "preview": Node("preview", ("backbone",)),
    "generated": Node("generated", ("backbone",)),
    "oracle": Node("oracle", ("generated",)),
    "segment_cost": Node("segment_cost", ("oracle",)),
    "selector": Node("selector", ("segment_cost", "preview")),
    "keyframes": Node("keyframes", ("oracle",)),
    "anchors": Node("anchors", ("keyframes",)),
    "refiner": Node("refiner", ("anchors", "interpolator")),
    "samples": Node("sampling", ("selector", "refiner")),
}
"""The video's stages: each one's section of the settings, and what it reads."""


class ReportSettings(Section):
    """What interpolators.csv and the report cover."""

    interpolators: list[Name] = Field([BASE], min_length=1, description="variants, in this order")
    reference: Name = Field(BASE, description="variant that the others are compared with, one of them")
    ablations: list[Name] = Field([], description="variants of interpolator_ablations.csv, beside the reference")
    methods: list[Name] = Field([BASE], min_length=1, description="variants of metrics.csv, in this order")
    exact: Name = Field(BASE, description="the teacher at its best, from which `distance` is measured, one of them")
    against: Name = Field(BASE, description="the one that the others are compared with, one of them")
    tunings: list[Name] = Field([BASE], description="variants whose training of phase 1 is compared")
    selectors: list[Name] = Field([BASE], description="variants whose selectors selection.csv compares")
    segment_costs: list[Name] = Field([BASE], description="variants whose D_phi it compares")
    include: list[Literal["ablations"]] = Field(
        [], description="what report.html shows beside; it is made if it is not there"
    )
    drawn: Name = Field(BASE, description="variant whose best, median and worst clips are drawn, one of them")

    @model_validator(mode="after")
    def _compared(self) -> ReportSettings:
        for key in ("reference", "drawn"):
            if getattr(self, key) not in self.interpolators or getattr(self, key) == TEACHER:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not a variant among interpolators")
        for key in ("exact", "against"):
            if getattr(self, key) not in self.methods:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not among methods")
        return self


class VideoConfig(WithVariants):
    """The video pipeline."""

    threads: Count = Field(1, description="threads per job; part of every stage's identity, since results depend on it")
    backbone_threads: Count = Field(1, description="threads of the backbone's training, for which most jobs wait")
    data: DataSettings = Field(default_factory=DataSettings, description="shards")
    masks: MasksSettings = Field(default_factory=MasksSettings, description="masks that interpolators fill")
    teacher: TeacherSettings = Field(default_factory=TeacherSettings, description="teacher of interpolators")
    negative_prompt: str = Field("", description="prompt that guidance leads away from")
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
        for key in ("interpolators", "ablations", "methods", "tunings", "selectors", "segment_costs"):
            for name in getattr(self.report, key):
                if name != TEACHER and name not in self._resolved.settings:
                    known = ", ".join(self._resolved.settings)
                    raise InputError(f"report.{key}: unknown variant {name!r}; expected one of {known}")
        for name in self.report.selectors:
            if self._resolved.owner("preview", name) != BASE:
                raise InputError(
                    f"report.selectors: {name!r} has a preview of its own; all look at the same clips by base's"
                )
        if BASE not in self.report.methods:
            raise InputError(f"report.methods: expected {BASE!r} among them, whose keyframes are drawn")
        if self.base.sampling.k not in self.base.oracle.k:
            raise InputError(f"base.sampling.k: {self.base.sampling.k} is not in base.oracle.k, and drawn beside it")
        return self
