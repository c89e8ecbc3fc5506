"""The quality columns of the video's metrics.csv, with standard errors, and beside a reference method on the same prompts.

N clips, C channels, T frames, H x W latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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
    statistics,
)

ADHERENCE = ("adherence", "objects", "shapes", "directions", "speeds", "events", "times", "easy", "hard")
CONTENT = ("clip_score", "background_consistency", "temporal_flickering")
DRAWS = 100
"""Times that prompts are drawn again for standard errors."""


@dataclass(frozen=True)
class Measures:
    """What figures of N clips follow from: statistics [N, 10 C], roughness [N], sharpness [N]."""

    statistics: np.ndarray
    roughness: np.ndarray
    sharpness: np.ndarray


def measured(clips: Iterable[Tensor]) -> Measures:
    """Of clips [C, T, H, W], one after the other: no more than one has to be in memory."""
    each = [(statistics(z[None]), roughness(z[None]), sharpness(z[None])) for z in clips]
    return Measures(*(np.concatenate(values) for values in zip(*each, strict=True)))


def distances(clips: Iterable[Tensor], others: Iterable[Tensor]) -> np.ndarray:
    """Root mean squared differences of clips, one after the other, from others: [N]."""
    return np.concatenate([distance_to(z[None], other[None]) for z, other in zip(clips, others, strict=True)])


@dataclass(frozen=True)
class Reference:
    """What methods are measured against: clips that features are fitted on, and other real clips."""

    fit: Measures
    real: Measures

    @cached_property
    def features(self) -> Features:
        return fit_features(self.fit.statistics)

    @cached_property
    def real_features(self) -> np.ndarray:
        return self.features(self.real.statistics)


@dataclass(frozen=True)
class Quality:
    """A method's figures as functions of which of the prompts count, so that methods are drawn again together."""

    figures: dict[str, Callable[[np.ndarray], float]]
    count: int

    def row(self, reference: Quality) -> dict[str, float]:
        """Every figure, its standard error, and, where another method has it, the difference from that one's, over the same
        draws of prompts.
        """
        rng = np.random.default_rng(0)
        draws = [rng.integers(self.count, size=self.count) for _ in range(DRAWS)]
        everyone = np.arange(self.count)
        row: dict[str, float] = {}
        for name, figure in self.figures.items():
            again = np.array([figure(rows) for rows in draws])
            row |= {name: figure(everyone), f"{name}_se": float(np.std(again, ddof=1))}
            if compared := reference.figures.get(name):
                other = np.array([compared(rows) for rows in draws])
                row[f"{name}_vs_reference"] = row[name] - compared(everyone)
                row[f"{name}_vs_reference_se"] = float(np.std(again - other, ddof=1))
        return row


def over_seeds(rows: Sequence[Mapping[str, float]], figures: Sequence[str]) -> dict[str, float]:
    """Means over runs of the same method on the same prompts, with standard errors `_se`.

    All runs meet the same prompts, so that more of them lessen the error of their differences alone.
    """
    found: dict[str, float] = {}
    for name in figures:
        values, errors = (np.array([row.get(key, math.nan) for row in rows]) for key in (name, f"{name}_se"))
        between = np.var(values, ddof=1) / len(rows) if len(rows) > 1 else 0.0
        found |= {name: float(values.mean()), f"{name}_se": float(np.sqrt(np.mean(errors**2) + between))}
    return found


def chosen(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Of methods by name the one of least Frechet distance, among those whose adherence is within a standard error of the best.

    Where there is no tracker, hence no adherence, among all.
    """
    able = rows
    if all("adherence" in row for row in rows.values()):
        best = max(rows.values(), key=lambda row: row["adherence"])
        able = {name: row for name, row in rows.items() if row["adherence"] >= best["adherence"] - best["adherence_se"]}
    return min(able, key=lambda name: able[name]["frechet"])


def quality(own: Measures, away: np.ndarray, judged: Mapping[str, np.ndarray], compared: Reference) -> Quality:
    """The figures of a method's N clips.

    frechet: distance of features' Gaussians from real clips'; those that clips were judged by: means over clips; smoothness and
    sharpness: Wasserstein distances of their distributions from real clips', in deviations; distance: root mean square of
    the difference from the exact sample of the same noise, over clips.

    Args:
        away: [N], distances from the exact samples.
        judged: further figures of each clip, [N], by name: some of `ADHERENCE` and `CONTENT`, and others.
    """
    features = compared.features(own.statistics)

    def mean(name: str) -> Callable[[np.ndarray], float]:
        def figure(rows: np.ndarray) -> float:
            there = judged[name][rows]
            there = there[~np.isnan(there)]
            return float(there.mean()) if there.size else math.nan

        return figure

    figures: dict[str, Callable[[np.ndarray], float]] = {
        "frechet": lambda rows: frechet_distance(features[rows], compared.real_features),
        **{name: mean(name) for name in judged},
        "smoothness": lambda rows: distance_from_real(own.roughness[rows], compared.real.roughness),
        "sharpness": lambda rows: distance_from_real(own.sharpness[rows], compared.real.sharpness),
        "distance": lambda rows: float(away[rows].mean()),
    }
    return Quality(figures, len(away))
