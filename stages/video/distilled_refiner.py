"""Distil the backbone into a student that corrects filled clips in one or two passes: phase 2's."""

from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.batches import load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.losses.corrections import Corrections
from interdiff.workflow.pipelines.video_attention_stages import DistilledRefinerStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.distillation import distil
from stages.filling import filling_clips


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the index of phase 1's `anchors`, the `backbone`, the `interpolator` and the
    `negative` prompt's embedding.

    Writes a checkpoint of what the student differs by from the backbone.
    """
    student = stage.settings.student
    corrections = filling_clips(stage, Corrections, student)
    negative = load_negative(stage.path("negative"), stage.device, ShardDataset(stage.path("index"), ["embed"]))
    teacher = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    distil(stage, "distilled_refiner", corrections.draw, teacher, negative, student)


if __name__ == "__main__":
    run_stage(main, DistilledRefinerStageSettings)
