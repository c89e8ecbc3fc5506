"""The masks file of a split, read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from interdiff.files import load_arrays


@dataclass(frozen=True)
class Masks:
    """DP indices {K: [N, K] int64} and costs {K: [N]}, and what bounds every later choice of keyframes."""

    indices: dict[int, np.ndarray]
    costs: dict[int, np.ndarray]
    nested_levels: tuple[int, ...]
    max_gap_factor: float

    def subset(self, rows: np.ndarray) -> Masks:
        """The given rows alone."""
        indices, costs = ({k: values[rows] for k, values in table.items()} for table in (self.indices, self.costs))
        return replace(self, indices=indices, costs=costs)


def load_masks(path: Path) -> Masks:
    """Read a file of the masks stage."""
    head = load_arrays(path, ("levels", "nested_levels", "max_gap_factor"))
    levels = [int(k) for k in head["levels"]]
    arrays = load_arrays(path, tuple(f"{name}_{k}" for name in ("indices", "cost") for k in levels))
    return Masks(
        indices={k: arrays[f"indices_{k}"].astype(np.int64) for k in levels},
        costs={k: arrays[f"cost_{k}"] for k in levels},
        nested_levels=tuple(int(k) for k in head["nested_levels"]),
        max_gap_factor=float(head["max_gap_factor"]),
    )


RANKED = {"selector": "selector", "uniform": "uniform", "random_nested": "random", "dp": "dp"}
"""The index policy whose cached anchors go with the nested masks of each rank policy."""
