"""Adapt the backbone to sparse attention: it learns to answer as the frozen dense backbone does."""

import torch

from interdiff.learning.training import Objective
from interdiff.video.backbone.adaptation import Answers, answer_loss
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.losses import RandomFrames
from interdiff.video.backbone.settings import AdaptedSettings
from interdiff.video.backbone.tuning import save_tuned, tuned
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `backbone` and the `negative` prompt's embedding.

    Writes a checkpoint of what differs from the backbone.
    """
    settings: AdaptedSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    negative = load_negative(stage.path("negative"), stage.device, data)
    clips = TrainingClips([data], settings.training, stage.device)
    backbone = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    torch.manual_seed(settings.training.seed)
    answers = Answers(RandomFrames(clips, negative, settings), backbone)
    model, history = train_network(stage, tuned(backbone, settings.tuning), Objective(answers.draw, answer_loss))
    save_tuned(stage.outputs, "adapted", model, settings.tuning, history)


if __name__ == "__main__":
    run_stage(main, AdaptedSettings)
