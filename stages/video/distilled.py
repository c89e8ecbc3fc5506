"""Distil the backbone into a student that makes clips in one to four steps."""

from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.distillation.settings import DistilledSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.distillation import distil
from stages.frames import random_frames


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `backbone` and the `negative` prompt's embedding.

    Writes a checkpoint of what the student differs by from the backbone.
    """
    settings: DistilledSettings = stage.settings
    frames = random_frames(stage, settings)
    teacher = load_backbone(stage.inputs["backbone"], stage.device).requires_grad_(False)
    distil(stage, "distilled", frames.draw, teacher, frames.negative, settings)


if __name__ == "__main__":
    run_stage(main, DistilledSettings)
