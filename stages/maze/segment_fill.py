"""Train the low level of the hierarchical baseline: diffusion over all steps between two of its goals."""

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.maze.baselines.losses import BetweenStates, segment_loss
from interdiff.maze.baselines.settings import SegmentFillSettings
from interdiff.maze.baselines.window_diffusion import SegmentDenoiser, horizons_of
from interdiff.maze.planner.data import load_prepared
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared windows `train`; writes a checkpoint."""
    settings: SegmentFillSettings = stage.settings
    data = load_prepared(stage.path("train"), stage.device)
    horizons = horizons_of(stage.path("train"))
    config = {"interval": settings.interval, "grid": data.cells, **settings.network.model_dump()}
    torch.manual_seed(settings.training.seed)
    model = SegmentDenoiser(**config).to(stage.device)
    batches = BetweenStates(data, horizons, model, settings.training.batch_size, keyframe_scheduler())
    model, history = train_network(stage, model, Objective(batches.draw, segment_loss))
    save_checkpoint(stage.outputs, model, {"kind": "segment_fill", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, SegmentFillSettings)
