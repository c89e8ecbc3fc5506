"""Interpolators by their method's name, as networks of one kind of checkpoint, with or without a straightener around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.video.interpolators.calibrated import Calibrated
from interdiff.video.interpolators.straightener import Straightened, Straightener

if TYPE_CHECKING:
    from interdiff.video.interpolators.settings import InterpolatorSettings, StraightenerSettings

METHODS = "interdiff.video.interpolators.methods"
"""One module a method, with a function `build`; whoever adds a file there adds a method."""


def straightener_config(settings: StraightenerSettings, channels: int) -> dict[str, Any]:
    """What `Straightener` is built from."""
    shift = settings.shift.model_dump()
    if settings.shift.form == "convolutional":
        del shift["patch"], shift["heads"]
    return {"channels": channels, "couplings": settings.couplings, **shift}


def interpolator_config(
    settings: InterpolatorSettings, channels: int, straightener: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What `build_interpolator` takes; `straightener`: the configuration of the one around it.

    A method whose `build` takes arguments gets the latents' channels, and the settings of its name where there are some.
    """
    own = getattr(settings, settings.method, None)
    size = {"channels": channels, **(own.model_dump() if own else {})}
    sized = signature(_method(settings.method).build).parameters
    return {"method": settings.method, "size": size if sized else {}, "around": straightener}


def build_interpolator(
    method: str, size: Mapping[str, Any], around: Mapping[str, Any] | None, scales: Sequence[int] | None = None
) -> nn.Module:
    """An untrained interpolator; ValueError where there is no such method.

    scales: answers and gaps of one whose expected errors are calibrated.
    """
    model = _method(method).build(**size)
    model = Straightened(Straightener(**around), model) if around else model
    return Calibrated(model, *scales) if scales else model


def _method(name: str) -> ModuleType:
    try:
        return import_module(f"{METHODS}.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"method {name!r}: {error}") from error


def load_interpolator(folder: Path, device: torch.device, **expected: Any) -> nn.Module:
    """A checkpoint of the interpolator stage; InputError where its configuration has other values than are expected."""
    return load_checkpoint(folder, "interpolator", lambda config: build_interpolator(**config), device, **expected)


def load_straightener(folder: Path, device: torch.device) -> Straightener:
    """A checkpoint of the straightener stage."""
    return load_checkpoint(folder, "straightener", lambda config: Straightener(**config), device)
