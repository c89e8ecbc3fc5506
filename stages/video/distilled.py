"""Distil the backbone into a student that makes clips in one to four steps."""

import torch

from interdiff.learning.training import Objective
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.losses import RandomFrames
from interdiff.video.backbone.tuning import save_tuned
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.settings import DistilledSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `backbone` and the `negative` prompt's embedding.

    Writes a checkpoint of what the student differs by from the backbone.
    """
    settings: DistilledSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    negative = load_negative(stage.path("negative"), stage.device, data)
    clips = TrainingClips([data], settings.training, stage.device)
    teacher = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    torch.manual_seed(settings.training.seed)
    distillation = Distillation(RandomFrames(clips, negative, settings).draw, teacher, negative, settings)
    objective = Objective(distillation.draw, distillation.loss)
    roles, history = train_network(stage, Roles(teacher, settings), objective)
    save_tuned(stage.outputs, "distilled", roles.student, settings.tuning, history)


if __name__ == "__main__":
    run_stage(main, DistilledSettings)
