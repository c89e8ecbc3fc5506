"""Train D_phi, the model of the segment cost, and evaluate it on held-out data."""

import torch

from interdiff.files import write_json
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.maze.evaluation.segment_cost import evaluate
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.losses.segment_cost import Segments, segment_cost_loss
from interdiff.maze.planner.masks import load_masks
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.settings import SegmentCostSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train`, `val` and their masks; writes a checkpoint and held-out `metrics` per layout."""
    settings: SegmentCostSettings = stage.settings
    train_data = load_prepared(stage.path("train"), stage.device)
    masks = load_masks(stage.path("masks_val"))
    config = {
        "frames": train_data.frames,
        "frames_per_token": settings.frames_per_token,
        "channels": settings.channels,
        "interpolation": masks.interpolation,
        **settings.network.model_dump(),
    }
    torch.manual_seed(settings.training.seed)
    sizes = settings.training.batch_size, settings.pairs, masks.nested_levels[0], masks.max_gap_factor
    val_data = load_prepared(stage.path("val"), stage.device)
    draw, held_out = (Segments(data, *sizes).draw for data in (train_data, val_data))
    objective = Objective(draw, segment_cost_loss, held_out)
    model, history = train_network(stage, SegmentCostModel(**config), objective)
    save_checkpoint(stage.outputs, model, {"kind": "segment_cost", "model": config}, history)
    write_json(stage.outputs["metrics"], evaluate(model, val_data, masks))


if __name__ == "__main__":
    run_stage(main, SegmentCostSettings)
