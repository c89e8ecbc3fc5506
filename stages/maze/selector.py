"""Train the selector on DP(D_phi) labels and evaluate it on held-out data."""

from typing import Any

import torch

from interdiff.files import write_json
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import initialise_from
from interdiff.learning.training import Objective
from interdiff.maze.evaluation.selector import evaluate
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.losses.selector import Paths, selector_loss
from interdiff.maze.planner.masks import load_masks
from interdiff.maze.planner.phase1 import load_segment_cost
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import SelectorSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train`, `val`, their masks and D_phi; writes a checkpoint and held-out `metrics` per layout."""
    settings: SelectorSettings = stage.settings
    train_data = load_prepared(stage.path("train"), stage.device)
    masks = load_masks(stage.path("masks_val"))
    segment_cost = load_segment_cost(stage.folder("segment_cost"), train_data)
    config: dict[str, Any] = {
        "frames": train_data.frames,
        "condition_bias": settings.condition_bias,
        "nested_levels": list(masks.nested_levels),
        "max_gap_factor": masks.max_gap_factor,
        **segment_cost.size,
    }
    torch.manual_seed(settings.training.seed)
    selector = KeyframeSelector(**config)
    initialise_from(selector, segment_cost)
    levels = [k for k in sorted({*masks.indices, *masks.nested_levels}) if k > 2]
    paths = Paths(train_data, segment_cost, levels, selector.max_gap_factor, settings)
    model, history = train_network(stage, selector, Objective(paths.draw, selector_loss))
    save_checkpoint(stage.outputs, model, {"kind": "selector", "model": config}, history)
    val = load_prepared(stage.path("val"), stage.device)
    write_json(stage.outputs["metrics"], evaluate(model, segment_cost, val, masks, stage.rng()))


if __name__ == "__main__":
    run_stage(main, SelectorSettings)
