"""Held-out quality of D_phi: how well it predicts costs, and what dynamic programming over them finds."""

from __future__ import annotations

import numpy as np

from interdiff.keyframes.dynamic_programming import optimal_indices, path_cost
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.segment_cost import COST_FLOOR
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.segment_cost import SegmentCostModel, costs_of_chunks


def evaluate(model: SegmentCostModel, data: Prepared, masks: Masks) -> dict[str, dict[str, float]]:
    """Held-out quality per layout: how well D_phi predicts costs, and what DP over its predictions costs.

    correlation and relative_error are over all segments that a path of the coarsest nested level may use;
    cost_ratio_K is the summed exact cost of DP(D_phi)'s keyframes over that of the exact optimum.
    """
    longest = max_gap(data.frames, masks.nested_levels[0], masks.max_gap_factor)
    i, j = np.triu_indices(data.frames, 2)
    i, j = i[j - i <= longest], j[j - i <= longest]
    parts: dict[int, list] = {}
    for rows, predicted, exact in costs_of_chunks(model, data):
        chosen = {
            k: path_cost(exact, optimal_indices(predicted, k, masks.max_gap_factor)[0]).sum() for k in masks.indices
        }
        best = {k: masks.costs[k][rows.numpy(force=True)].sum() for k in masks.indices}
        layout = int(data.layout[rows[0]])
        parts.setdefault(layout, []).append((predicted[:, i, j].ravel(), exact[:, i, j].ravel(), chosen, best))
    return {data.layouts[layout]: _summary(chunks) for layout, chunks in parts.items()}


def _summary(chunks: list) -> dict[str, float]:
    predicted, exact = (np.concatenate([chunk[n] for chunk in chunks]) for n in (0, 1))
    logs = np.log(predicted + COST_FLOOR), np.log(exact + COST_FLOOR)
    return {
        "correlation": float(np.corrcoef(predicted, exact)[0, 1]),
        "log_correlation": float(np.corrcoef(*logs)[0, 1]),
        "relative_error": float(np.abs(predicted - exact).sum() / exact.sum()),
    } | {
        f"cost_ratio_{k}": float(sum(chunk[2][k] for chunk in chunks) / sum(chunk[3][k] for chunk in chunks))
        for k in chunks[0][2]
    }
