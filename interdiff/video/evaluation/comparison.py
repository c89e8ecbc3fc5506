"""The quality columns of the video's metrics.csv, with standard errors, and beside a reference method on the same prompts.

N clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from interdiff.video.evaluation.quality import (
    Features,
    distance_from_real,
    distance_to,
    fit_features,
    frechet_distance,
    roughness,
    sharpness,
)

if TYPE_CHECKING:
    from pandas import DataFrame

ADHERENCE = ("adherence", "objects", "shapes", "directions", "speeds", "events", "times")
DRAWS = 100
"""Times that prompts are drawn again for standard errors."""


@dataclass(frozen=True)
class Reference:
    """What methods are measured against: clips that features are fitted on, other real clips, and the teacher at its best."""

    fit: Tensor
    real: Tensor
    exact: Tensor

    @cached_property
    def features(self) -> Features:
        return fit_features(self.fit)

    @cached_property
    def real_features(self) -> np.ndarray:
        return self.features(self.real)

    @cached_property
    def real_roughness(self) -> np.ndarray:
        return roughness(self.real)

    @cached_property
    def real_sharpness(self) -> np.ndarray:
        return sharpness(self.real)


@dataclass(frozen=True)
class Quality:
    """A method's figures as functions of which of the prompts count, so that methods are drawn again together."""

    figures: dict[str, Callable[[np.ndarray], float]]
    count: int

    def row(self, reference: Quality) -> dict[str, float]:
        """Every figure, its standard error, and its difference from another method's, over the same draws of prompts."""
        rng = np.random.default_rng(0)
        draws = [rng.integers(self.count, size=self.count) for _ in range(DRAWS)]
        everyone = np.arange(self.count)
        row: dict[str, float] = {}
        for name, figure in self.figures.items():
            again = np.array([figure(rows) for rows in draws])
            other = np.array([reference.figures[name](rows) for rows in draws])
            row |= {name: figure(everyone), f"{name}_se": float(np.std(again, ddof=1))}
            row[f"{name}_vs_reference"] = row[name] - reference.figures[name](everyone)
            row[f"{name}_vs_reference_se"] = float(np.std(again - other, ddof=1))
        return row


def quality(z_ncthw: Tensor, tracked: DataFrame | None, compared: Reference) -> Quality:
    """The figures of a method's clips [N, C, T, H, W].

    frechet: distance of features' Gaussians from real clips'; adherence and its parts: means over clips; smoothness and
    sharpness: Wasserstein distances of their distributions from real clips', in deviations; distance: root mean square of
    the difference from the exact sample of the same noise, over clips.

    Args:
        tracked: adherence.csv, a row per clip; None where it knows no prompt, and figures of it are left out.
    """
    features, rough, sharp = compared.features(z_ncthw), roughness(z_ncthw), sharpness(z_ncthw)
    away = distance_to(z_ncthw, compared.exact)
    values = {} if tracked is None else {name: tracked[name].to_numpy(float) for name in ADHERENCE}

    def mean(name: str) -> Callable[[np.ndarray], float]:
        return lambda rows: float(np.nanmean(values[name][rows]))

    figures: dict[str, Callable[[np.ndarray], float]] = {
        "frechet": lambda rows: frechet_distance(features[rows], compared.real_features),
        **{name: mean(name) for name in values},
        "smoothness": lambda rows: distance_from_real(rough[rows], compared.real_roughness),
        "sharpness": lambda rows: distance_from_real(sharp[rows], compared.real_sharpness),
        "distance": lambda rows: float(away[rows].mean()),
    }
    return Quality(figures, len(z_ncthw))
