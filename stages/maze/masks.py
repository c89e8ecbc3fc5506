"""Dynamic-programming masks of a split: optimal indices for every K, global indices and nested masks."""

import numpy as np
import torch

from interdiff.files import write_arrays
from interdiff.keyframes.dynamic_programming import global_indices, optimal_indices
from interdiff.keyframes.nested_masks import nested_ranks
from interdiff.keyframes.segment_cost import all_segment_costs, sampled_segment_costs, snr_weight
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.settings import MasksSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `prepared`; writes `masks`: indices_K [N, K], cost_K [N], global_K [K], rank [N, T] of the nested masks.

    Whatever cost chooses the indices, cost_K is the least exact one: what all choices are measured against.
    """
    settings: MasksSettings = stage.settings
    data = load_prepared(stage.path("prepared"), torch.device("cpu"))
    subset = stage.rng().random(len(data.states)) < settings.subset_fraction
    subset[0] = True
    indices: dict[int, list[np.ndarray]] = {k: [] for k in settings.levels}
    costs: dict[int, list[np.ndarray]] = {k: [] for k in settings.levels}
    ranks, summed = [], np.zeros((1, data.frames, data.frames))
    for rows in stage.progress(data.chunks(512), "dynamic programming", unit="chunk"):
        positions = data.world_positions(rows).numpy()
        exact = all_segment_costs(positions, settings.interpolation)
        cost = _costs(positions, exact, settings, stage.rng(1))
        for k in settings.levels:
            index, total = optimal_indices(cost, k, settings.max_gap_factor)
            indices[k].append(index)
            costs[k].append(total if cost is exact else optimal_indices(exact, k, settings.max_gap_factor)[1])
        ranks.append(_nested_ranks(cost, settings))
        summed += cost[subset[rows.numpy()]].sum(0, keepdims=True)
    arrays = {f"indices_{k}": np.concatenate(parts) for k, parts in indices.items()}
    arrays |= {f"cost_{k}": np.concatenate(parts) for k, parts in costs.items()}
    arrays |= {f"global_{k}": global_indices(summed, k, settings.max_gap_factor) for k in settings.levels}
    arrays |= {
        "rank": np.concatenate(ranks),
        "levels": np.array(settings.levels),
        "nested_levels": np.array(settings.nested_levels),
        "max_gap_factor": np.array(settings.max_gap_factor),
        "interpolation": np.array(settings.interpolation),
    }
    write_arrays(stage.outputs["masks"], arrays)


def _nested_ranks(cost: np.ndarray, settings: MasksSettings) -> np.ndarray:
    return nested_ranks(lambda k: cost, settings.nested_levels, settings.max_gap_factor)


def _costs(positions: np.ndarray, exact: np.ndarray, settings: MasksSettings, rng: np.random.Generator) -> np.ndarray:
    if settings.cost == "sampled":
        return sampled_segment_costs(positions, settings.cost_samples, rng)
    return snr_weight() * exact if settings.cost == "snr" else exact


if __name__ == "__main__":
    run_stage(main, MasksSettings)
