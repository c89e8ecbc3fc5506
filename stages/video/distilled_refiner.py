"""Distil the backbone into a student that corrects filled clips in one or two passes: phase 2's."""

import torch

from interdiff.files import load_arrays
from interdiff.learning.training import Objective
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.tuning import save_tuned
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.planner.losses.corrections import Corrections
from interdiff.video.planner.losses.refiner import nested_masks
from interdiff.workflow.pipelines.video_attention_stages import DistilledRefinerStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the index of phase 1's `anchors`, the `backbone`, the `interpolator` and the
    `negative` prompt's embedding.

    Writes a checkpoint of what the student differs by from the backbone.
    """
    settings: DistilledRefinerStageSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    anchors = ShardDataset(stage.path("anchors"), ["frames", "keyframes"])
    negative = load_negative(stage.path("negative"), stage.device, data)
    clips = TrainingClips([anchors, data], settings.training, stage.device)
    cost = load_arrays(stage.path("oracle"))["cost"][[data.number(key) for key in anchors.keys]]
    interpolator = load_interpolator(stage.folder("interpolator"), stage.device)
    teacher = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    masks = nested_masks(cost, settings.student.levels, settings.max_gap_factor)
    torch.manual_seed(settings.training.seed)
    corrections = Corrections(clips, masks, interpolator, settings.student)
    distillation = Distillation(corrections.draw, teacher, negative, settings.student)
    objective = Objective(distillation.draw, distillation.loss)
    roles, history = train_network(stage, Roles(teacher, settings.student), objective)
    save_tuned(stage.outputs, "distilled_refiner", roles.student, settings.student.tuning, history)


if __name__ == "__main__":
    run_stage(main, DistilledRefinerStageSettings)
