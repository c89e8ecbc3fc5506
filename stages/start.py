"""The network that both phases are made of."""

from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.tuning import load_tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.workflow.stage import Stage


def load_start(stage: Stage) -> WanDenoiser:
    """The `backbone` of a stage's inputs, or where there is one the `adapted` backbone, which was made of it."""
    backbone = load_backbone(stage.inputs["backbone"], stage.device)
    return load_tuned(stage.folder("adapted"), "adapted", backbone) if "adapted" in stage.inputs else backbone
