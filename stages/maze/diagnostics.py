"""What phase 2 meets and does at each level, which frames are chosen, and the worst plans: tables and pictures."""

import torch

from interdiff.files import load_arrays, write_csv
from interdiff.keyframes.nested_masks import levels_from
from interdiff.maze.evaluation.diagnostics import failures, index_counts, level_figures
from interdiff.maze.evaluation.settings import DiagnosticsStageSettings
from interdiff.maze.figures.diagnostics import indices_picture, levels_picture
from interdiff.maze.figures.gallery import gallery
from interdiff.maze.planner.data import Prepared, load_prepared
from interdiff.maze.planner.masks import RANKED, Masks, load_masks
from interdiff.maze.planner.phase1 import Phase1, load_phase1
from interdiff.maze.planner.policies import first_keyframes, keyframe_indices, level_ranks, rank_indices
from interdiff.maze.planner.refiner import OwnRefiner, Refiner, load_refiner
from interdiff.maze.world.random_layouts import family
from interdiff.two_phase.corruption import with_anchor_errors
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

POLICIES = [policy for policy in RANKED if policy != "dp"]
"""The ways to rank masks that need no ground truth."""


def main(stage: Stage) -> None:
    """Reads the held-out split, its masks, all networks and the `samples`; writes a table and a picture of each kind."""
    settings: DiagnosticsStageSettings = stage.settings
    data, masks = load_prepared(stage.path("held_out"), stage.device), load_masks(stage.path("masks"))
    chosen = torch.cat([data.first_rows(name, settings.n_per_layout) for name in data.families])
    part, part_masks = data.subset(chosen), masks.subset(chosen.numpy(force=True))
    phase1, refiner = load_phase1(stage.folder, data), load_refiner(stage.folder("refiner"), data)
    rows = [
        row
        for policy in stage.progress(POLICIES, "levels", unit="policy")
        for row in _levels(stage, policy, part, part_masks, phase1, refiner)
    ]
    write_csv(stage.outputs["levels"], rows)
    levels_picture(rows, stage.outputs["levels_picture"])
    own = {"selector": keyframe_indices("selector", settings.k, part, part_masks, phase1.selector, stage.rng())}
    own["optimum"] = torch.as_tensor(part_masks.indices[settings.k])
    names = [family(part.layouts[n]) for n in part.layout.tolist()]
    counts = index_counts({name: x.numpy(force=True) for name, x in own.items()}, names, part.frames)
    write_csv(stage.outputs["indices"], counts)
    indices_picture(counts, stage.outputs["indices_picture"])
    samples = load_arrays(stage.path("samples"))
    worst = failures(samples, settings.failures)
    write_csv(stage.outputs["failures"], worst)
    gallery(samples, [int(row["number"]) for row in worst], stage.outputs["failures_picture"])


def _levels(stage: Stage, policy: str, data: Prepared, masks: Masks, phase1: Phase1, refiner: Refiner | OwnRefiner):
    settings: DiagnosticsStageSettings = stage.settings
    levels, chunks = levels_from(masks.nested_levels, settings.k), data.chunks(128)
    start = first_keyframes(RANKED[policy], levels[0], data, masks, stage.rng())
    ranks = level_ranks(RANKED[policy], levels, data, phase1.selector, stage.rng(1), start)
    indices = rank_indices(ranks, levels[0])
    generator = stage.generator()
    keyframes = phase1.keyframes_of(data, chunks, indices, settings.keyframe_steps, generator)
    moved, _ = with_anchor_errors(data.states, keyframes, indices, refiner.interpolation, 1.0, 0.0, generator)
    for name, anchored, exact in (("exact", data.states, True), ("phase 1", moved, False)):
        for row in level_figures(refiner, data, chunks, ranks, levels, anchored, exact, generator):
            yield {"policy": policy, "anchors": name} | row


if __name__ == "__main__":
    run_stage(main, DiagnosticsStageSettings)
