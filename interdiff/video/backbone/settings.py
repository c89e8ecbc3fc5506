"""Settings of the backbone, of its clips, and of networks made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from interdiff.learning.settings import BlockwiseTrainingSettings, CompiledBlocks
from interdiff.settings import Count, Fraction, PathText, Section
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.data.settings import VideoFrames

COORDINATES = 9
"""Input channels beyond the latents' that say where a latent lies, in networks that have them."""
NoiseShift = Annotated[float, Field(ge=1, description="of noise levels, towards noise")]
FrameCounts = list[Annotated[int, Field(ge=2)]]
"""Numbers of frames of a clip, both ends among them."""


class TransformerSettings(Section):
    """A Wan transformer that is trained here."""

    num_layers: Count = Field(6, description="blocks")
    num_attention_heads: Count = Field(3, description="attention heads")
    attention_head_dim: Count = Field(64, multiple_of=2, description="channels of a head")
    ffn_dim: Count = Field(576, description="hidden channels of the feed-forward layers")
    patch: Count = Field(2, description="latents per token and axis")
    coordinates: bool = Field(
        False,
        description="tell the network where a latent lies, in 9 more input channels; Wan has rotary positions alone",
    )
    text_components: Count | None = Field(
        None,
        description="begin with a projection of text that gives so many principal components of prompts one variance;"
        " null: with a random one",
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        description="smooth guesses over time as if each frame of them had an error of so many noise levels; 0: leave them",
    )
    attention: AttentionSettings = Field(default_factory=AttentionSettings, description="among a clip's tokens")


class NoisedSettings(Section):
    """What learns from noisy clips."""

    shift: NoiseShift = 3.0
    drop_prompt: Fraction = Field(0.1, description="share of clips trained on without their prompt, for guidance")


class BackboneSettings(NoisedSettings):
    """The teacher: what both phases start from, and what they are compared with."""

    pretrained: PathText | None = Field(
        None, description="folder of a Wan transformer, diffusers' or original; null: one is trained here"
    )
    lora: PathText | None = Field(
        None, description="file of a LoRA that is added to it, in diffusers', peft's, ComfyUI's or kohya's names"
    )
    transformer: TransformerSettings = Field(
        default_factory=TransformerSettings,
        description="size of the one trained here, or by which a pretrained one is estimated until its folder is there",
    )
    start: PathText | None = Field(
        None, description="folder of a checkpoint of this size that training starts from, in place of random weights"
    )
    clips: Literal["shards", "rendered"] = Field(
        "shards",
        description="what it learns from: the training shards, or a new scene for every sample (source: clips)",
    )
    lengths: list[VideoFrames] = Field(
        [], description="frames of rendered videos, 1 + 4 k, batch by batch in turn; empty: as many as shards have"
    )
    frames: FrameCounts = Field(
        [5, 9],
        description="numbers of frames that batches have in the first part of training: both ends and random ones",
    )
    frames_until: Fraction = Field(0.8, description="where that part ends; from there on all frames")
    training: BlockwiseTrainingSettings = Field(default_factory=BlockwiseTrainingSettings, description="its training")

    @model_validator(mode="after")
    def _of_what_is_trained_or_loaded(self) -> BackboneSettings:
        if self.lora and not self.pretrained:
            raise ValueError("lora: expected null without pretrained, to which it is added")
        if self.lengths and self.clips != "rendered":
            raise ValueError("lengths: expected none with clips: shards, which have their own")
        if self.start and self.pretrained:
            raise ValueError("start: expected null with pretrained, which is not trained")
        if self.lora and self.pretrained and Path(self.lora).parent == Path(self.pretrained):
            raise ValueError("lora: expected outside of the folder pretrained, whose weights are files beside it")
        return self


class GeneratedSettings(Section):
    """Clips that the backbone makes of prompts, from noise that is kept: what phases 1 and 2 learn to reach in fewer steps."""

    shards: dict[Literal["train", "test"], Count] = Field(
        {"train": 3, "test": 1}, description="number of shards by split, the first ones: one clip per prompt"
    )
    steps: Count = Field(10, description="steps of UniPC (Zhao et al. 2023)")
    guidance: float = Field(3.0, ge=1, description="scale of classifier-free guidance")
    batch: Count = Field(10, description="clips at once")
    compile: CompiledBlocks = "no"
    seed: int = Field(0, ge=0, description="of the noise, together with the key")


class TuningSettings(Section):
    """How a network is made of the backbone."""

    kind: Literal["lora", "full"] = Field("full", description="low-rank changes of linear layers, or all weights")
    rank: Count = Field(8, description="of the changes (lora)")
    start: PathText | None = Field(
        None, description="file of a LoRA to start from, in diffusers', peft's, ComfyUI's or kohya's names"
    )
    layers: Count | None = Field(
        None,
        description="blocks, the backbone's first ones, whose answer is learned anew; null: all, as they are (full)",
    )
    gradient_checkpointing: bool = Field(False, description="less memory, a third more arithmetic")
    attention: AttentionSettings = Field(
        default_factory=AttentionSettings,
        description="among a clip's tokens; dense leaves it as it is in what is tuned",
    )

    @model_validator(mode="after")
    def _learned_anew(self) -> TuningSettings:
        if self.layers is not None and (self.kind == "lora" or self.start):
            raise ValueError("layers: expected null with kind lora or a start, which change the backbone's own answer")
        return self


class TunedSettings(Section):
    """A network that is made of the backbone, and its training."""

    tuning: TuningSettings = Field(default_factory=TuningSettings, description="what is trained")
    training: BlockwiseTrainingSettings = Field(default_factory=BlockwiseTrainingSettings, description="its training")

    @model_validator(mode="after")
    def _low_rank(self) -> TunedSettings:
        # Muon makes all singular values of a change equal: of factors that are low-rank by design, it destroys the scales.
        if self.tuning.kind == "lora" and self.training.muon_learning_rate is not None:
            raise ValueError("training.muon_learning_rate: expected null with tuning.kind lora, which AdamW trains")
        return self


def _sparse() -> TuningSettings:
    return TuningSettings(attention=AttentionSettings(kind="sla"))


class FramesFirstSettings(TunedSettings):
    """A network made of the backbone that may learn from a few frames of clips first, as the backbone does."""

    frames: FrameCounts = Field(
        [],
        description="numbers of frames that batches have in the first part of training, beside all: both ends and random ones",
    )
    frames_until: Fraction = Field(0.0, description="where that part ends; from there on all frames")


class AdaptedSettings(FramesFirstSettings, NoisedSettings):
    """The backbone with sparse attention, which learns to answer as the dense backbone does."""

    tuning: TuningSettings = Field(default_factory=_sparse, description="what is trained")

    @model_validator(mode="after")
    def _to_sparse_attention(self) -> AdaptedSettings:
        if self.tuning.attention.kind == "dense":
            raise ValueError("tuning.attention.kind: expected sparse attention, which the backbone is adapted to")
        return self
