"""Settings of networks and their training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from interdiff.own_code import check_class
from interdiff.settings import Count, Fraction, OwnClass, Section

NETWORK_PRESETS = {
    "laptop": {"d_model": 128, "depth": 4, "heads": 4},
    "log": {"d_model": 384, "depth": 12, "heads": 12},
}
"""Sizes by name: `laptop` trains in minutes on two cores, `log` is the size of the research log."""


CompiledBlocks = Annotated[
    Literal["no", "blocks"],
    Field(description="compile each block of the networks that sample (torch.compile); pays off on a GPU"),
]


class NetworkSettings(Section):
    """The size of a transformer; a preset's name (laptop, log) stands for all three."""

    d_model: Count = Field(128, description="width of the tokens; a multiple of heads")
    depth: Count = Field(4, description="number of blocks")
    heads: Count = Field(4, description="attention heads per block")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in NETWORK_PRESETS:
                raise ValueError(f"unknown preset {value!r}; expected one of {', '.join(NETWORK_PRESETS)}")
            return NETWORK_PRESETS[value]
        return value

    @model_validator(mode="after")
    def _heads_divide(self) -> NetworkSettings:
        if self.d_model % self.heads:
            raise ValueError(f"d_model={self.d_model} is not a multiple of heads={self.heads}")
        return self

    def described(self) -> dict[str, Any]:
        """What a checkpoint says of the network."""
        return self.model_dump()


class OwnNetworkSettings(Section):
    """A network of one's own ([networks.md](networks.md)) in the place of ours; all other keys are arguments of its class."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

    class_: Annotated[str, OwnClass()] = Field(
        alias="class", description="its import path, `package.module.Class`; the module counts as code"
    )

    @model_validator(mode="after")
    def _exists(self) -> OwnNetworkSettings:
        try:
            check_class(self.class_, {"frames", *(self.model_extra or {})})
        except ValueError as error:
            raise ValueError(f"class: {error}") from error
        return self

    def described(self) -> dict[str, Any]:
        """What a checkpoint says of the network."""
        return {"own": self.model_dump()}


def or_own(value: Any) -> str:
    """The tag of a network's settings: of one's own where they name a class."""
    return (
        "[own]" if isinstance(value, OwnNetworkSettings) or (isinstance(value, dict) and "class" in value) else "[ours]"
    )


class TrainingSettings(Section):
    """One training run."""

    steps: Count = Field(2000, description="optimizer steps")
    batch_size: Count = Field(128, description="sequences per step, of all processes and micro-batches together")
    accumulate: Count = Field(
        1, description="micro-batches that a process computes one after the other, to save memory"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    muon_learning_rate: float | None = Field(
        None, gt=0, description="that of Muon, which then takes the matrices of a network's blocks"
    )
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up before the cosine decay")
    weight_decay: float = Field(0.01, ge=0, description="weight decay")
    ema_decay: Fraction = Field(
        0.999, description="decay per step of the weights' moving average, which is what is saved"
    )
    grad_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    seed: int = Field(0, ge=0, description="seed of the initial weights and of all draws in training")
    save_every: Count = Field(500, description="steps between saves of the resumable state")
    log_every: Count = Field(50, description="steps per logged row of means")
    mixed_precision: Literal["no", "bf16", "auto"] = Field(
        "no", description="arithmetic of the forward pass; auto: bf16 where the device has instructions for it"
    )
    compile: Literal["no", "blocks", "whole"] = Field(
        "no", description="compile each of the network's blocks, or all of it (torch.compile); pays off on a GPU"
    )


class BlockwiseTrainingSettings(TrainingSettings):
    """Training of a network whose blocks are computed one after the other, each by one call."""

    fsdp: bool = Field(False, description="several GPUs share the network's weights (FSDP), where one cannot hold them")

    @model_validator(mode="after")
    def _whole_matrices(self) -> BlockwiseTrainingSettings:
        if self.fsdp and self.muon_learning_rate is not None:
            raise ValueError("fsdp: expected false with a muon_learning_rate, since Muon needs whole matrices")
        return self
