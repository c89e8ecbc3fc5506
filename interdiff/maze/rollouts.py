"""Plans as references for the tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reference:
    """What a tracker follows: positions [n, 2] and velocities [n, 2], joint coordinates and units/s, a row per 0.01 s."""

    positions: np.ndarray
    velocities: np.ndarray
