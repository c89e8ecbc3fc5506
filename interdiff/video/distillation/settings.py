"""Settings of distillation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from interdiff.settings import Fraction, Weight
from interdiff.video.backbone.settings import FramesFirstSettings, TunedSettings

STEPS = 4
"""Steps from noise that a student learns at most."""
PASSES = 2
"""Steps from filled clips that a student learns at most."""


class StudentSettings(TunedSettings):
    """A student, which takes a few steps and needs no guidance."""

    consistency: Literal["continuous", "discrete", "guidance"] = Field(
        "continuous",
        description="along the teacher's path; discrete needs no derivatives, nor attention that has them;"
        " guidance: none, only that is distilled away",
    )
    discrete_times: int = Field(48, ge=2, description="times of the discrete one")
    guidance: float = Field(3.0, ge=1, description="of the teacher, which the student learns to do without")
    guided_below: Fraction = Field(1.0, description="noise level above which that guidance is left out")
    warm_steps: int = Field(100, ge=0, description="steps over which the tangent's unstable part comes in")
    level_mean: float = Field(0.7, description="of the logarithm of tan t in consistency (Zheng et al. 2025)")
    level_deviation: float = Field(1.6, gt=0, description="of that logarithm")
    consistency_weight: Weight = Field(100.0, description="of the consistency loss")
    matching_weight: Weight = Field(
        1.0, description="of distribution matching, once the tangent is whole; 0: no critic"
    )
    matching_shift: float = Field(5.0, ge=1, description="of its noise levels, towards noise")
    critic_steps: int = Field(4, ge=1, description="steps of the critic to one of the student, from there on")

    @model_validator(mode="after")
    def _derivatives(self) -> StudentSettings:
        if self.consistency == "continuous" and self.tuning.attention.kind != "dense":
            raise ValueError(
                "consistency: expected discrete with sparse attention, whose kernel on a GPU has no forward derivatives"
            )
        if self.consistency == "guidance" and self.matching_weight:
            raise ValueError("matching_weight: expected 0 with consistency: guidance, which takes many steps")
        return self


class DistilledSettings(FramesFirstSettings, StudentSettings):
    """A student of the backbone, which makes clips in one to four steps."""

    @property
    def drop_prompt(self) -> float:
        """None: what guidance needs is the teacher's."""
        return 0.0

    @property
    def shift(self) -> float:
        """Of flow matching's levels, which distillation does not use."""
        return 1.0


class DistilledKeyframesSettings(StudentSettings):
    """A student of phase 1, which makes K frames in one to four steps."""
