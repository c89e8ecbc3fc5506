"""Train a learned baseline: diffusion over sub-goals 15 steps apart, or over a window at equal intervals (full sequence)."""

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.maze.baselines.losses import Windows, window_loss
from interdiff.maze.baselines.settings import WindowDiffusionSettings
from interdiff.maze.baselines.window_diffusion import WindowDenoiser, free_cells_of, horizons_of
from interdiff.maze.planner.data import load_prepared
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared windows `train`; writes a checkpoint."""
    settings: WindowDiffusionSettings = stage.settings
    data = load_prepared(stage.path("train"), stage.device)
    config = {
        "interval": settings.interval,
        "horizons": horizons_of(stage.path("train")),
        "free_cells": free_cells_of(data),
        "grid": data.cells,
        **settings.network.model_dump(),
    }
    torch.manual_seed(settings.training.seed)
    model = WindowDenoiser(**config).to(stage.device)
    batches = Windows(data, model, settings.training.batch_size, keyframe_scheduler())
    model, history = train_network(stage, model, Objective(batches.draw, window_loss))
    save_checkpoint(stage.outputs, model, {"kind": "window_diffusion", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, WindowDiffusionSettings)
