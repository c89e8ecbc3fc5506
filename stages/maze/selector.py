"""Train the selector on DP(D_phi) labels and evaluate it on held-out data."""

from typing import Any

import torch

from interdiff.checkpoint import save_checkpoint
from interdiff.files import write_json
from interdiff.maze.data import load_prepared
from interdiff.maze.masks import load_masks
from interdiff.maze.phase1 import load_segment_cost
from interdiff.maze.selector import KeyframeSelector, evaluate, selector_loss
from interdiff.maze.settings import SelectorSettings
from interdiff.networks import initialise_from
from stages.runner import Stage, run_stage
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
    model, history = train_network(stage, selector, selector_loss(train_data, segment_cost, levels, settings))
    save_checkpoint(stage.outputs, model, {"kind": "selector", "model": config}, history)
    val = load_prepared(stage.path("val"), stage.device)
    write_json(stage.outputs["metrics"], evaluate(model, segment_cost, val, masks, stage.rng()))


if __name__ == "__main__":
    run_stage(main, SelectorSettings)
