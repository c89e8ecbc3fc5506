"""Plan for held-out starts and goals, with phase 1's and with ground-truth anchors, and measure the plans."""

import numpy as np
import torch

from interdiff.files import write_arrays, write_csv
from interdiff.learning import draws
from interdiff.maze.evaluation.metrics import KINDS, cost_ratio, plan_metrics
from interdiff.maze.planner.data import Prepared, load_prepared
from interdiff.maze.planner.kinds.loading import load_planner
from interdiff.maze.planner.masks import Masks, load_masks
from interdiff.maze.planner.plans import AnyPlanner, Plans, function_evaluations, plan_milliseconds
from interdiff.maze.planner.settings import SamplingSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the held-out split, its masks and all networks; writes `samples` (every plan, with its map) and `metrics`."""
    settings: SamplingSettings = stage.settings
    data, masks = load_prepared(stage.path("held_out"), stage.device), load_masks(stage.path("masks"))
    planner = load_planner(stage.folder, data, settings)
    rows, samples = [], []
    work = [(seed, layout) for seed in settings.seeds for layout in data.families]
    for seed, layout in stage.progress(work, "plans", unit="layout"):
        chosen = data.first_rows(layout, settings.n_per_layout)
        part, part_masks = planner.seen(data.subset(chosen)), masks.subset(chosen.numpy(force=True))
        generator = draws.generator_of(seed)
        keyframes = planner.keyframes(part, part_masks, generator)
        plans = planner.plan(part, part.all_rows, *keyframes, generator, oracle=False)
        oracle = planner.plan(part, part.all_rows, *keyframes, generator, oracle=True)
        arrays = _arrays(part, seed, chosen, plans, oracle)
        samples.append(arrays)
        rows.append(
            {"variant": stage.variant, "layout": layout, "seed": seed}
            | _row(part, part_masks, planner, arrays, generator)
        )
    merged = {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}
    write_arrays(stage.outputs["samples"], merged, compress=True, finite=True)
    write_csv(stage.outputs["metrics"], rows)


def _arrays(part: Prepared, seed: int, chosen: torch.Tensor, plans: Plans, oracle: Plans) -> dict[str, np.ndarray]:
    tensors = {
        "truth": part.states,
        "start": part.start,
        "goal": part.goal,
        "indices": plans.indices,
        "keyframes": plans.keyframes,
        "interp": plans.interpolated,
        "refined": plans.refined,
        "oracle_interp": oracle.interpolated,
        "oracle_refined": oracle.refined,
        "occupancy": part.occupancy[part.layout].to(torch.uint8),
        "sdf": part.sdf[part.layout].half(),
        "row": chosen,
    }
    arrays = {name: tensor.numpy(force=True) for name, tensor in tensors.items()}
    names = np.array(part.layouts)[part.layout.numpy(force=True)]
    return arrays | {"layout": names, "seed": np.full(len(names), seed)}


def _row(
    part: Prepared,
    masks: Masks,
    planner: AnyPlanner,
    arrays: dict[str, np.ndarray],
    generator: torch.Generator,
) -> dict[str, object]:
    """Figures of one row of metrics.csv, in the order of its columns."""
    truth = arrays["truth"][..., :2]
    positions = {kind: arrays[kind][..., :2] for kind in KINDS}
    measured = plan_metrics(positions, truth, arrays["occupancy"])
    metrics = {name: None if np.isnan(value) else value for name, value in measured.items()}
    return {
        "n": len(truth),
        **{name: value for name, value in metrics.items() if not name.startswith("crossed")},
        "cost_ratio": cost_ratio(truth, part.cells, arrays["indices"], masks.costs, masks.interpolation),
        "nfe": function_evaluations(planner, part, masks, generator),
        "plan_ms": plan_milliseconds(planner, part, masks, generator),
        **{name: value for name, value in metrics.items() if name.startswith("crossed")},
    }


if __name__ == "__main__":
    run_stage(main, SamplingSettings)
