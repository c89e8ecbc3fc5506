"""What a change of settings does to the plans: every variant's figures, and their paired differences from another's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from interdiff.errors import InputError
from interdiff.maze.metrics import piece_collisions

KEYS = ["layout", "row"]
ALL = "all"


def plan_figures(samples: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Figures of every held-out sequence, means over sampling seeds, indexed by layout and row.

    Columns: collision_refined (share of pieces), crossed_refined (share of plans), mse_refined and mse_oracle_refined
    (squared cells).

    Args:
        samples: arrays of `samples.npz`.
    """
    cells, truth = samples["occupancy"].shape[-1], samples["truth"][..., :2]
    hits = piece_collisions(samples["refined"][..., :2], samples["occupancy"])
    figures = {"collision_refined": hits.mean(axis=1), "crossed_refined": hits.any(axis=1).astype(float)}
    for kind in ("refined", "oracle_refined"):
        figures[f"mse_{kind}"] = np.square((samples[kind][..., :2] - truth) * cells).sum(-1).mean(-1)
    table = pd.DataFrame({key: samples[key] for key in KEYS} | figures)
    return table.groupby(KEYS, sort=False).mean()


def compared(own: pd.DataFrame, base: pd.DataFrame) -> Iterator[dict[str, float | str]]:
    """A row per layout (and one for all) and figure: mean, and difference from `base` on the same sequences.

    Standard errors are over sequences; that of the difference is of the paired differences.

    Args:
        own, base: of `plan_figures`.

    Raises:
        InputError: they are not of the same sequences.
    """
    if not own.index.equals(base.index):
        raise InputError("samples of two variants are not of the same held-out sequences; they cannot be compared")
    change = own - base
    groups = own.index.get_level_values("layout")
    for layout in [*dict.fromkeys(groups), ALL]:
        rows = np.full(len(own), True) if layout == ALL else groups == layout
        for name in own.columns:
            values, differences = own[name][rows], change[name][rows]
            yield {
                "layout": layout,
                "n": len(values),
                "figure": name,
                "mean": values.mean(),
                "se": values.sem(),
                "difference": differences.mean(),
                "difference_se": differences.sem(),
            }


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
