"""What a change of settings does to the plans: every variant's figures, and their paired differences from another's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from interdiff.errors import InputError
from interdiff.maze.world.collisions import piece_collisions

ALL = "all"


@dataclass(frozen=True)
class PlanFigures:
    """Figures of N held-out sequences, each [N]: layouts (names), rows (their numbers in the split), values by name."""

    layouts: np.ndarray
    rows: np.ndarray
    values: dict[str, np.ndarray]


def plan_figures(samples: Mapping[str, np.ndarray]) -> PlanFigures:
    """Means over sampling seeds of collision_refined (share of pieces), crossed_refined (share of plans), mse_refined and
    mse_oracle_refined (squared cells).

    Args:
        samples: arrays of `samples.npz`.
    """
    cells, truth = samples["occupancy"].shape[-1], samples["truth"][..., :2]
    hits = piece_collisions(samples["refined"][..., :2], samples["occupancy"])
    values = {"collision_refined": hits.mean(axis=1), "crossed_refined": hits.any(axis=1).astype(float)}
    for kind in ("refined", "oracle_refined"):
        values[f"mse_{kind}"] = np.square((samples[kind][..., :2] - truth) * cells).sum(-1).mean(-1)
    rows, first, which, count = np.unique(samples["row"], return_index=True, return_inverse=True, return_counts=True)
    means = {name: np.bincount(which, weights=value) / count for name, value in values.items()}
    return PlanFigures(samples["layout"][first], rows, means)


def compared(own: PlanFigures, base: PlanFigures) -> Iterator[dict[str, float | str]]:
    """A row per layout (and one for all) and figure: mean, and difference from `base` on the same sequences.

    Standard errors are over sequences; that of the difference is of the paired differences.

    Raises:
        InputError: they are not of the same sequences.
    """
    if not np.array_equal(own.rows, base.rows):
        raise InputError("samples of two variants are not of the same held-out sequences; they cannot be compared")
    for layout in [*dict.fromkeys(own.layouts.tolist()), ALL]:
        of_layout = (own.layouts == layout) | (layout == ALL)
        for name, values in own.values.items():
            mean, error = _mean(values[of_layout])
            difference, difference_error = _mean((values - base.values[name])[of_layout])
            yield {
                "layout": layout,
                "n": int(of_layout.sum()),
                "figure": name,
                "mean": mean,
                "se": error,
                "difference": difference,
                "difference_se": difference_error,
            }


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error; of one value, which has none, nan."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def in_brief(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of ablations.csv -> a row per ablation and variant, over all layouts: "mean ± se (difference ± se)" per figure."""
    brief: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if row["layout"] == ALL:
            mean, error, change, change_error = (
                f"{float(row[key]):.2g}" for key in ("mean", "se", "difference", "difference_se")
            )
            own = brief.setdefault(
                (row["ablation"], row["variant"]), {"ablation": row["ablation"], "variant": row["variant"]}
            )
            own[row["figure"]] = f"{mean} ± {error} ({change} ± {change_error})"
    return list(brief.values())
