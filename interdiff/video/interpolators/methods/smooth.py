"""Straight lines from one endpoint to the other, at rest at both."""

from __future__ import annotations

from torch import Tensor, nn

from interdiff.video.interpolators.interpolator import Between, WithoutParameters, blend, expected_error


def smooth(first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
    """Along the line by the smoothstep 3 tau^2 - 2 tau^3, as `Interpolator` says."""
    return Between(blend(first, last, tau**2 * (3 - 2 * tau)), expected_error(first, last, tau))


def build() -> nn.Module:
    """The interpolator."""
    return WithoutParameters(smooth)
