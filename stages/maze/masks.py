"""Dynamic-programming masks of a split: optimal indices for every K, and nested masks."""

import numpy as np
import torch

from interdiff.files import write_arrays
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.nested_masks import nested_ranks
from interdiff.keyframes.segment_cost import all_segment_costs, sampled_segment_costs
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.settings import MasksSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `prepared`; writes `masks`: indices_K [N, K], cost_K [N], rank [N, T] of the nested masks.

    Whatever cost chooses the indices, cost_K is the least exact one: what all choices are measured against.
    """
    settings: MasksSettings = stage.settings
    data = load_prepared(stage.path("prepared"), torch.device("cpu"))
    rng, gap = stage.rng(1), settings.max_gap_factor
    indices: dict[int, list[np.ndarray]] = {k: [] for k in settings.levels}
    costs: dict[int, list[np.ndarray]] = {k: [] for k in settings.levels}
    ranks = []
    for rows in stage.progress(data.chunks(512), "dynamic programming", unit="chunk"):
        positions = data.world_positions(rows).numpy()
        cost = exact = all_segment_costs(positions, settings.interpolation)
        if settings.cost == "sampled":
            cost = sampled_segment_costs(positions, settings.cost_samples, rng)
        for k in settings.levels:
            index, total = optimal_indices(cost, k, gap)
            indices[k].append(index)
            costs[k].append(total if cost is exact else optimal_indices(exact, k, gap)[1])
        ranks.append(_nested_ranks(cost, settings))
    arrays = {f"indices_{k}": np.concatenate(parts) for k, parts in indices.items()}
    arrays |= {f"cost_{k}": np.concatenate(parts) for k, parts in costs.items()}
    arrays |= {
        "rank": np.concatenate(ranks),
        "levels": np.array(settings.levels),
        "nested_levels": np.array(settings.nested_levels),
        "max_gap_factor": np.array(gap),
        "interpolation": np.array(settings.interpolation),
    }
    write_arrays(stage.outputs["masks"], arrays)


def _nested_ranks(cost: np.ndarray, settings: MasksSettings) -> np.ndarray:
    return nested_ranks(lambda k: cost, settings.nested_levels, settings.max_gap_factor)


if __name__ == "__main__":
    run_stage(main, MasksSettings)
