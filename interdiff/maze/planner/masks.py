"""The masks file of a split, read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from interdiff.files import load_arrays

if TYPE_CHECKING:  # rules read this module, and do without torch
    from interdiff.keyframes.segment_cost import Interpolation


@dataclass(frozen=True)
class Masks:
    """DP indices {K: [N, K] int64} and costs {K: [N]}, what bounds every later choice of keyframes, and what fills."""

    indices: dict[int, np.ndarray]
    costs: dict[int, np.ndarray]
    nested_levels: tuple[int, ...]
    max_gap_factor: float
    interpolation: Interpolation

    def subset(self, rows: np.ndarray) -> Masks:
        """The given rows alone."""
        indices, costs = ({k: values[rows] for k, values in table.items()} for table in (self.indices, self.costs))
        return replace(self, indices=indices, costs=costs)


def load_masks(path: Path) -> Masks:
    """Read a file of the masks stage."""
    head = load_arrays(path, ("levels", "nested_levels", "max_gap_factor", "interpolation"))
    levels = [int(k) for k in head["levels"]]
    arrays = load_arrays(path, tuple(f"{name}_{k}" for name in ("indices", "cost") for k in levels))
    return Masks(
        indices={k: arrays[f"indices_{k}"].astype(np.int64) for k in levels},
        costs={k: arrays[f"cost_{k}"] for k in levels},
        nested_levels=tuple(int(k) for k in head["nested_levels"]),
        max_gap_factor=float(head["max_gap_factor"]),
        interpolation=cast("Interpolation", str(head["interpolation"])),
    )


RANKED = {"selector": "selector", "uniform": "uniform", "random_nested": "random", "dp": "dp"}
"""The index policy whose cached anchors go with the nested masks of each rank policy."""
