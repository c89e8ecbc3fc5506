"""Train the control without phases: diffusion over all T points."""

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import initialise_from
from interdiff.learning.training import Objective
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.kinds.full_sequence import SequenceDenoiser
from interdiff.maze.planner.losses.sequences import NoisySequences, sequence_loss
from interdiff.maze.planner.phase1 import load_segment_cost
from interdiff.maze.planner.settings import SequenceDiffusionSettings
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train` and D_phi, from which it starts as phase 1 does; writes a checkpoint."""
    settings: SequenceDiffusionSettings = stage.settings
    data = load_prepared(stage.path("train"), stage.device)
    config = {
        "frames": data.frames,
        "frames_per_token": settings.frames_per_token,
        **settings.network.model_dump(),
    }
    torch.manual_seed(settings.training.seed)
    model = SequenceDenoiser(**config)
    initialise_from(model.backbone, load_segment_cost(stage.folder("segment_cost"), data).queries.backbone)
    batches = NoisySequences(data, settings, keyframe_scheduler())
    model, history = train_network(stage, model, Objective(batches.draw, sequence_loss))
    save_checkpoint(stage.outputs, model, {"kind": "sequence_diffusion", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, SequenceDiffusionSettings)
