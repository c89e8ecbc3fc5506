"""Adapt the backbone to sparse attention: it learns to answer as the frozen dense backbone does."""

import torch

from interdiff.learning.training import Objective
from interdiff.video.backbone.adaptation import Answers, answer_loss
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.settings import AdaptedSettings
from interdiff.video.backbone.tuning import save_tuned, tuned
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.frames import random_frames
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `backbone` and the `negative` prompt's embedding.

    Writes a checkpoint of what differs from the backbone.
    """
    settings: AdaptedSettings = stage.settings
    frames = random_frames(stage, settings)
    backbone = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    torch.manual_seed(settings.training.seed)
    answers = Answers(frames, backbone)
    model, history = train_network(stage, tuned(backbone, settings.tuning), Objective(answers.draw, answer_loss))
    save_tuned(stage.outputs, "adapted", model, settings.tuning, history)


if __name__ == "__main__":
    run_stage(main, AdaptedSettings)
