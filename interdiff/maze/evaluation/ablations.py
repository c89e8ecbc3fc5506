"""What a change of settings does to the plans: every variant's figures, and their paired differences from another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zlib import crc32

import numpy as np
import pandas as pd

from interdiff.errors import InputError
from interdiff.maze.world.collisions import piece_collisions
from interdiff.maze.world.random_layouts import family

ALL = "all"
ARRAYS = ("truth", "refined", "oracle_refined", "occupancy", "layout", "row")
"""Of `samples.npz`, that figures of plans are made of."""


def plan_figures(samples: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Figures of held-out sequences by their numbers in the split and a checksum of what they are: layout (of a maze of a
    family, the family), and means over sampling seeds of collision_refined (share of pieces), crossed_refined (share of
    plans), mse_refined and mse_oracle_refined (squared cells).

    Args:
        samples: arrays of `samples.npz`.
    """
    cells, truth = samples["occupancy"].shape[-1], samples["truth"][..., :2]
    hits = piece_collisions(samples["refined"][..., :2], samples["occupancy"])
    values = {"collision_refined": hits.mean(axis=1), "crossed_refined": hits.any(axis=1).astype(float)}
    for kind in ("refined", "oracle_refined"):
        values[f"mse_{kind}"] = np.square((samples[kind][..., :2] - truth) * cells).sum(-1).mean(-1).astype(float)
    keys = {"row": samples["row"], "sequence": [crc32(states.tobytes()) for states in samples["truth"]]}
    plans = pd.DataFrame({**keys, "layout": [family(name) for name in samples["layout"]], **values})
    return plans.groupby(list(keys)).agg({"layout": "first", **dict.fromkeys(values, _over_seeds)})


def _over_seeds(values: pd.Series) -> float:
    # numpy's sum, where pandas' own compensates rounding: equal bytes in every version of the table.
    return float(values.to_numpy().mean())


def compared(own: pd.DataFrame, base: pd.DataFrame) -> Iterator[dict[str, float | str]]:
    """A row per layout (and one for all) and figure: mean, and difference from `base` on the same sequences.

    Standard errors are over sequences; that of the difference is of the paired differences.

    Raises:
        InputError: they are not of the same sequences.
    """
    if not own.index.equals(base.index):
        raise InputError("samples of two variants are not of the same held-out sequences; they cannot be compared")
    for layout, part in [*own.groupby("layout", sort=False), (ALL, own)]:
        figures = part.drop(columns="layout")
        differences = figures - base.loc[part.index, figures.columns]
        for name in figures:
            mean, error = _mean(figures[name].to_numpy())
            difference, difference_error = _mean(differences[name].to_numpy())
            yield {
                "layout": layout,
                "n": len(part),
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
