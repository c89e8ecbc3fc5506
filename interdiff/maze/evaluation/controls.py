"""Plans of variants over training seeds and held-out sequences, beside base's on the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interdiff.errors import InputError
from interdiff.maze.world.tasks import mean_and_error

FIGURES = {"mse": "mse_refined", "crossed": "crossed_refined", "collision": "collision_refined"}
"""Columns, and what they are of `ablations.plan_figures`."""


def control_rows(
    seeds: Sequence[pd.DataFrame], base: Sequence[pd.DataFrame], costs: Mapping[str, Mapping[str, float]]
) -> list[dict[str, float | str]]:
    """A row per layout: each figure's mean over seeds and sequences, its difference from base, and their standard errors.

    Differences are paired by sequence and seed, over as many seeds as both have.

    Args:
        seeds, base: `ablations.plan_figures` of each training seed.
        costs: further columns by layout.

    Raises:
        InputError: they are not of the same sequences.
    """
    if any(not figures.index.equals(base[0].index) for figures in (*seeds, *base)):
        raise InputError("samples of two variants or seeds are not of the same held-out sequences")
    rows: list[dict[str, float | str]] = []
    for layout, part in seeds[0].groupby("layout", sort=False):
        row: dict[str, float | str] = {"layout": str(layout), "seeds": len(seeds), "n": len(part)}
        for name, figure in FIGURES.items():
            own, other = (np.stack([x.loc[part.index, figure] for x in each]) for each in (seeds, base))
            both = min(len(own), len(other))
            row[name], row[f"{name}_se"] = mean_and_error(own)
            row[f"{name}_difference"], row[f"{name}_difference_se"] = mean_and_error(own[:both] - other[:both])
        rows.append({**row, **costs[str(layout)]})
    return rows
