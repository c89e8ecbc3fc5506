"""What the stages of the video's sparse attention, and of its students, are told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interdiff.learning.settings import TrainingSettings
from interdiff.settings import Count, Name, Section
from interdiff.video.attention.settings import AttentionSettings, FeatureMap, Kind
from interdiff.video.backbone.settings import TransformerSettings
from interdiff.video.distillation.settings import DistilledKeyframesSettings
from interdiff.video.planner.settings import (
    DistilledRefinerSettings,
    KeyframesSettings,
    PreviewSettings,
    RefinerSettings,
    SamplingSettings,
)
from interdiff.workflow.pipelines.video_stages import CorrectingStageSettings, DecodingStageSettings


class FaithfulnessStageSettings(Section):
    """What the comparison of a teacher's answers with the dense backbone's is told."""

    attention: AttentionSettings = Field(description="the teacher's, where it is not adapted")
    clips: Count = Field(description="test clips, the first ones")
    batch: Count = Field(description="clips at once")
    seed: int = Field(description="of the noise, together with the key")


class AttentionRow(Section):
    """What attention.csv says of a variant's attention."""

    kind: Kind = Field(description="kind of attention")
    feature_map: FeatureMap | None = Field(description="features of its linear part")
    keep: float = Field(description="share of blocks that are kept")
    adapted: Literal["yes", "no"] = Field(description="whether the backbone was tuned for it")
    reuse: Count = Field(description="steps that a choice of blocks serves")


class AttentionStageSettings(Section):
    """What the comparison of kinds of attention is told."""

    methods: list[Name] = Field(description="variants, in this order; the others are compared with the first")
    attention: list[AttentionRow] = Field(description="the attention of each")


class AttentionCostsStageSettings(Section):
    """What the arithmetic of longer clips is counted from."""

    transformer: TransformerSettings = Field(description="the backbone's size")
    block: Count = Field(description="tokens of a block")
    height: Count = Field(description="rows of latents")
    width: Count = Field(description="columns of latents")
    rows: Count = Field(description="rows of an embedding")
    text_dim: Count = Field(description="numbers of a row")
    preview: PreviewSettings = Field(description="the look's size")
    sampling: SamplingSettings = Field(description="of phase 1")
    counts: list[Count] = Field(description="numbers of keyframes")


class ProfileStageSettings(DecodingStageSettings):
    """What the profile of a training step is told."""

    refiner: RefinerSettings = Field(description="whose training it is: phase 2's")
    attention: AttentionSettings = Field(description="sparse attention, beside dense")
    k: Count = Field(description="frames, beside all of them")
    clips: Count = Field(description="clips of a step")


class DistilledKeyframesStageSettings(Section):
    """What the distillation of phase 1 is told."""

    student: DistilledKeyframesSettings = Field(description="the student")
    keyframes: KeyframesSettings = Field(description="its teacher, whose frames of clips it learns from")

    @property
    def training(self) -> TrainingSettings:
        """The student's."""
        return self.student.training


class DistilledRefinerStageSettings(CorrectingStageSettings):
    """What the distillation of phase 2 is told."""

    student: DistilledRefinerSettings = Field(description="the student")

    @property
    def training(self) -> TrainingSettings:
        """The student's."""
        return self.student.training


class MilestoneRow(Section):
    """What milestone.csv says of a method."""

    method: Name = Field(description="variant")
    runs: list[Name] = Field(description="it, and the same with its further training seeds")
    steps: int = Field(description="steps of the backbone, or of phase 1")
    passes: int | None = Field(description="of phase 2")
    attention: Kind | None = Field(description="kind of attention of what runs all frames")


class MilestoneStageSettings(Section):
    """What the comparison of quality and cost is told."""

    rows: list[MilestoneRow] = Field(description="methods, in this order")
    frames: Count = Field(description="latent frames of a clip")
    teachers: list[Name] = Field(description="methods that are the backbone itself")
    diverse: list[Name] = Field(description="runs that have samples of other noise")
