"""Settings of interpolators, and of the masks that they fill."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interdiff.learning.settings import TrainingSettings
from interdiff.settings import Count, OneOfModules, PathText, Section, Weight

IN_PIXELS = ("optical_flow", "rife")
"""Whose frames are compared with the variants' under these names."""


Method = Annotated[str, OneOfModules("interdiff.video.interpolators.methods")]
LEARNED = ("flow", "sinkhorn")
"""The methods that have parameters, each with a section of its name."""


class MasksSettings(Section):
    """Masks that interpolators are measured on, and that optical flow fills: random frames of each clip, with both ends."""

    counts: list[Annotated[int, Field(ge=2)]] = Field(
        [2, 3, 4, 6, 8], min_length=1, description="numbers of known frames, one mask of each per clip"
    )
    seed: int = Field(0, ge=0, description="seed of the frames, together with the clip's key")


class OpticalFlowSettings(Section):
    """Frames in between by pixels, to learn from and to compare with."""

    kind: Literal["dis", "ldmvfi", "rife"] = Field(
        "dis", description="dense optical flow, LDMVFI, or RIFE, which the extra `rife` installs"
    )
    folder: PathText | None = Field(None, description="LDMVFI's checkout (ldmvfi)")
    checkpoint: PathText | None = Field(None, description="LDMVFI's weights (ldmvfi)")
    partial: bool = Field(False, description="leave out samples that lack a column, and learn the others")

    @model_validator(mode="after")
    def _configured(self) -> OpticalFlowSettings:
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
    fallback: bool = Field(False, description="answer with the mean of this and lerp, by the error expected of each")


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
    optical_flow: Weight = Field(0.0, description="mean absolute distance from the frames that optical flow gives")


class InterpolatorSettings(Section):
    """What fills the missing frames."""

    method: Method = Field("flow", description="how")
    straightened: bool = Field(False, description="run inside the straightened space")
    flow: FlowSettings = Field(default_factory=FlowSettings, description="network of method flow")
    sinkhorn: SinkhornSettings = Field(default_factory=SinkhornSettings, description="network of method sinkhorn")
    losses: LossSettings = Field(default_factory=LossSettings, description="what it learns from")
    clips: Literal["shards", "rendered"] = Field(
        "shards",
        description="what it learns from: the training shards, or a new scene for every sample (source: clips)",
    )
    moments: Count = Field(4, description="moments between each pair of a training step")
    pretrained: PathText | None = Field(
        None,
        description="folder of one whose weights are taken in place of training, made for latents of the same codec",
    )
    calibrated_on: Count = Field(
        200, description="clips of the validation split, the first ones, that expected errors are calibrated on"
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="its training")

    @model_validator(mode="after")
    def _learned(self) -> InterpolatorSettings:
        if self.pretrained and (self.method not in LEARNED or self.straightened):
            how = "straightened: true" if self.straightened else f"method: {self.method}"
            raise ValueError(f"pretrained: expected null with {how}")
        return self

    @model_validator(mode="after")
    def _has_flows(self) -> InterpolatorSettings:
        if (self.losses.endpoint or self.losses.consistency) and (self.method != "flow" or self.straightened):
            raise ValueError("losses.endpoint: expected 0, as losses.consistency, but for method flow of plain latents")
        if self.flow.fallback and self.straightened:
            raise ValueError("flow.fallback: expected false where straightened is true")
        if self.losses.optical_flow and self.clips == "rendered":
            raise ValueError("losses.optical_flow: expected 0 with clips: rendered, which no shard has filled")
        return self
