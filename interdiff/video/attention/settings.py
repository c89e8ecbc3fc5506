"""Settings of attention among a clip's tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from interdiff.settings import Count, Section

FeatureMap = Literal["softmax", "elu", "relu"]
Kind = Literal["dense", "sla", "sla_complement", "sla2"]


class AttentionSettings(Section):
    """Dense attention, or exact attention to the blocks of tokens that matter and linear attention beside it."""

    kind: Kind = Field(
        "dense",
        description="dense; sla: plus a projection of linear attention to all tokens (Zhang et al. 2025); sla_complement: to"
        " those that are left out; sla2: a learned mixture, of blocks that a learned router chooses (Zhang et al. 2026)",
    )
    keep: float = Field(
        0.15, gt=0, le=1, description="share of the blocks of keys that each block of queries attends to"
    )
    block: Count = Field(64, description="tokens of a block")
    feature_map: FeatureMap = Field("softmax", description="features of linear attention")
    router_temperature: float = Field(
        0.0,
        ge=0,
        description="how softly twice as many blocks count in training, so that the router learns; 0 is hard (sla2)",
    )

    @model_validator(mode="after")
    def _router(self) -> AttentionSettings:
        if self.router_temperature and self.kind != "sla2":
            raise ValueError(f"router_temperature: expected 0 for kind {self.kind}, which has no router")
        return self
