"""Straight lines from one endpoint to the other."""

from __future__ import annotations

from torch import Tensor, nn

from interdiff.video.interpolators.interpolator import Between, WithoutParameters, blend, expected_error


def lerp(first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
    """Linear in time, as `Interpolator` says."""
    return Between(blend(first, last, tau), expected_error(first, last, tau))


def build() -> nn.Module:
    """The interpolator."""
    return WithoutParameters(lerp)
