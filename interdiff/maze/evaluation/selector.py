"""Held-out quality of the selector beside D_phi's, uniform and random keyframes."""

from __future__ import annotations

import numpy as np

from interdiff.keyframes.dynamic_programming import optimal_indices, path_cost, random_indices, uniform_indices
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.segment_cost import SegmentCostModel, costs_of_chunks
from interdiff.maze.planner.selector import KeyframeSelector, select


def evaluate(
    model: KeyframeSelector, segment_cost: SegmentCostModel, data: Prepared, masks: Masks, rng: np.random.Generator
) -> dict[str, dict]:
    """Held-out quality per layout and K: cost ratios of the selector, DP(D_phi), uniform and random keyframes.

    Also the mean absolute error and the overlap of the selector's interior keyframes with the exact optimum's, and the
    frames that it and the optimum choose most often.
    """
    counts = [k for k in masks.indices if k > 2]
    matrices = [(exact, predicted) for _, predicted, exact in costs_of_chunks(segment_cost, data)]
    exact, predicted = (np.concatenate(parts) for parts in zip(*matrices, strict=True))
    result: dict[str, dict] = {name: {} for name in data.families}
    for k in counts:
        chosen = {
            "selector": select(model, data, k),
            "dphi": optimal_indices(predicted, k, masks.max_gap_factor)[0],
            "uniform": np.tile(uniform_indices(data.frames, k), (len(exact), 1)),
            "random": random_indices(len(exact), data.frames, k, rng),
        }
        for name in data.families:
            rows = data.rows_of_family(name).numpy(force=True)
            best, ours = masks.indices[k][rows][:, 1:-1], chosen["selector"][rows][:, 1:-1].astype(int)
            total = masks.costs[k][rows].sum()
            ratios = {
                f"cost_ratio_{n}": float(path_cost(exact[rows], i[rows]).sum() / total) for n, i in chosen.items()
            }
            result[name][str(k)] = ratios | {
                "index_mae": float(np.abs(best - ours).mean()),
                "overlap": float((best[:, :, None] == ours[:, None]).any(1).mean()),
                "top_indices": _most_frequent(ours),
                "top_indices_optimum": _most_frequent(best),
            }
    return result


def _most_frequent(indices: np.ndarray, count: int = 10) -> list[int]:
    return np.argsort(-np.bincount(indices.ravel(), minlength=1), kind="stable")[:count].tolist()
