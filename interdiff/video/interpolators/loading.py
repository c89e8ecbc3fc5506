"""Interpolators by their method's name, as networks of one kind of checkpoint, with or without a straightener around."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.video.interpolators.flow import FlowInterpolator
from interdiff.video.interpolators.interpolator import Between, Interpolator, lerp, smooth
from interdiff.video.interpolators.settings import InterpolatorSettings, StraightenerSettings
from interdiff.video.interpolators.sinkhorn import SinkhornInterpolator
from interdiff.video.interpolators.straightener import Straightened, Straightener


class WithoutParameters(nn.Module):
    """An interpolator that is a function."""

    def __init__(self, rule: Interpolator) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        return self.rule(first, last, tau, gap)


def straightener_config(settings: StraightenerSettings, channels: int) -> dict[str, Any]:
    """What `Straightener` is built from."""
    shift = settings.shift.model_dump()
    if settings.shift.form == "convolutional":
        del shift["patch"], shift["heads"]
    return {"channels": channels, "couplings": settings.couplings, **shift}


def interpolator_config(
    settings: InterpolatorSettings, channels: int, straightener: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What `build_interpolator` takes; `straightener`: the configuration of the one around it."""
    size = getattr(settings, settings.method).model_dump() if settings.method in ("flow", "sinkhorn") else {}
    return {"method": settings.method, "size": {"channels": channels, **size} if size else {}, "around": straightener}


def build_interpolator(method: str, size: Mapping[str, Any], around: Mapping[str, Any] | None) -> nn.Module:
    """An untrained interpolator."""
    model: nn.Module
    if method in ("lerp", "smooth"):
        model = WithoutParameters({"lerp": lerp, "smooth": smooth}[method])
    else:
        model = {"flow": FlowInterpolator, "sinkhorn": SinkhornInterpolator}[method](**size)
    return Straightened(Straightener(**around), model) if around else model


def load_interpolator(folder: Path, device: torch.device) -> nn.Module:
    """A checkpoint of the interpolator stage."""
    return load_checkpoint(folder, "interpolator", lambda config: build_interpolator(**config), device)


def load_straightener(folder: Path, device: torch.device) -> Straightener:
    """A checkpoint of the straightener stage."""
    return load_checkpoint(folder, "straightener", lambda config: Straightener(**config), device)
