"""results/maze/selection.csv: cost of every way to choose keyframes, and the limit of choosing by the condition alone."""

from typing import Any

import numpy as np
import torch

from interdiff.files import write_csv
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.maze.evaluation.selection_limit import Starts, expected_cost, load_starts, sample_rows, selection_row
from interdiff.maze.evaluation.settings import SelectionStageSettings
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.masks import Masks, load_masks
from interdiff.maze.planner.phase1 import load_segment_cost, load_selector
from interdiff.maze.planner.policies import keyframe_indices
from interdiff.maze.planner.segment_cost import costs_of_chunks
from interdiff.maze.world.layouts import load_layout
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
    rows = sample_rows(data.layout.numpy(force=True), settings.conditions, stage.rng())
    data, masks = data.subset(torch.as_tensor(rows, device=stage.device)), load_masks(stage.path("masks_test"))
    masks, gap = masks.subset(rows), masks.max_gap_factor
    starts = load_starts(stage.path("test"))
    expected = _expected_costs(stage, starts, data.layouts, data.layout.numpy(force=True), rows, data.frames, masks)
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
        for layout, name in enumerate(data.layouts):
            own = data.rows_of(layout).numpy(force=True)
            if len(own):
                theirs = {policy: indices[own] for policy, indices in chosen.items()}
                figures = selection_row(exact[own], expected.get(layout), theirs, k, gap, stage.rng(k))
                table.append({"layout": name, "k": k, "n": len(own)} | figures)
    table.sort(key=lambda row: data.layouts.index(row["layout"]))
    write_csv(stage.outputs["selection"], table, COLUMNS)


def _expected_costs(
    stage: Stage, starts: Starts, names: list[str], layout_n: np.ndarray, rows: np.ndarray, frames: int, masks: Masks
) -> dict[int, np.ndarray]:
    """By number, for each layout whose demonstrations are our simulator's: [n, T, T] of the conditions of its rows."""
    settings: SelectionStageSettings = stage.settings
    layouts = [load_layout(settings.layouts[name].map, name) for name in names]
    costs: dict[int, list[np.ndarray]] = {}
    for row, number in stage.progress(list(zip(rows, layout_n, strict=True)), "re-simulating", unit="condition"):
        if starts.simulated[number]:
            condition = (layouts[number], starts.states[row], starts.targets[row], frames, settings.demonstrations)
            noise = settings.layouts[names[number]].noise
            cost = expected_cost(*condition, stage.rng(1000 + row), noise, masks.interpolation)
            costs.setdefault(int(number), []).append(cost)
    return {number: np.stack(parts) for number, parts in costs.items()}


if __name__ == "__main__":
    run_stage(main, SelectionStageSettings)
