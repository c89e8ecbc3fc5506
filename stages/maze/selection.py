"""results/maze/selection.csv: cost of every way to choose keyframes, and the limit of choosing by the condition alone."""

from typing import Any

import numpy as np
import torch

from interdiff.files import write_csv
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.maze.evaluation.selection_limit import Starts, expected_cost, load_starts, sample_rows, selection_row
from interdiff.maze.evaluation.settings import SelectionStageSettings
from interdiff.maze.planner.data import Prepared, load_prepared
from interdiff.maze.planner.masks import Masks, load_masks
from interdiff.maze.planner.phase1 import load_segment_cost, load_selector
from interdiff.maze.planner.policies import keyframe_indices
from interdiff.maze.planner.segment_cost import costs_of_chunks
from interdiff.maze.world.random_layouts import family, mazes
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "layout", "k", "n", "selector", "dphi", "uniform", "random", "limit", "limit_se",
    "selector_excess", "dphi_excess", "limit_excess",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads the `test` split, its masks, D_phi and the selector; writes `selection`, a row per layout and K."""
    settings: SelectionStageSettings = stage.settings
    data = load_prepared(stage.path("test"), stage.device)
    groups = [data.rows_of_family(name).numpy(force=True) for name in data.families]
    rows = sample_rows(groups, settings.conditions, stage.rng())
    data, masks = data.subset(torch.as_tensor(rows, device=stage.device)), load_masks(stage.path("masks_test"))
    masks, gap = masks.subset(rows), masks.max_gap_factor
    starts = load_starts(stage.path("test"))
    expected = _expected_costs(stage, starts, data, rows, masks)
    segment_cost = load_segment_cost(stage.folder("segment_cost"), data)
    matrices = [(predicted, exact) for _, predicted, exact in costs_of_chunks(segment_cost, data)]
    predicted, exact = (np.concatenate(parts) for parts in zip(*matrices, strict=True))
    selector = load_selector(stage.folder("selector"), data)
    table: list[dict[str, Any]] = []
    for k in settings.counts:
        chosen = {
            policy: keyframe_indices(policy, k, data, masks, selector, stage.rng(k)).numpy(force=True)
            for policy in ("selector", "uniform", "random")
        } | {"dphi": optimal_indices(predicted, k, gap)[0]}
        for name in data.families:
            own = data.rows_of_family(name).numpy(force=True)
            theirs = {policy: indices[own] for policy, indices in chosen.items()}
            figures = selection_row(exact[own], expected.get(name), theirs, k, gap, stage.rng(k))
            table.append({"layout": name, "k": k, "n": len(own)} | figures)
    table.sort(key=lambda row: list(data.families).index(row["layout"]))
    write_csv(stage.outputs["selection"], table, COLUMNS)


def _expected_costs(
    stage: Stage, starts: Starts, data: Prepared, rows: np.ndarray, masks: Masks
) -> dict[str, np.ndarray]:
    """By name, for each layout whose demonstrations are our simulator's: [n, T, T] of the conditions of data's rows.

    rows: their numbers in the split.
    """
    settings: SelectionStageSettings = stage.settings
    layouts = mazes({name: maze.map for name, maze in settings.layouts.items()})
    costs: dict[str, list[np.ndarray]] = {}
    numbered = list(zip(rows, data.layout.tolist(), strict=True))
    for row, number in stage.progress(numbered, "re-simulating", unit="condition"):
        if starts.simulated[number]:
            name = data.layouts[number]
            condition = (layouts[name], starts.states[row], starts.targets[row], data.frames, settings.demonstrations)
            noise = settings.layouts[family(name)].noise
            cost = expected_cost(*condition, stage.rng(1000 + row), noise, masks.interpolation)
            costs.setdefault(family(name), []).append(cost)
    return {name: np.stack(parts) for name, parts in costs.items()}


if __name__ == "__main__":
    run_stage(main, SelectionStageSettings)
