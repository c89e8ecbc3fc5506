"""Train the preview: the backbone's first blocks learn what the whole would make of noise."""

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.losses.preview import Looks, preview_loss
from interdiff.video.planner.preview import Preview, build_preview
from interdiff.video.planner.settings import PreviewSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index` and the `backbone`; writes a checkpoint."""
    settings: PreviewSettings = stage.settings
    backbone = load_backbone(stage.inputs["backbone"], stage.device)
    clips = TrainingClips([ShardDataset(stage.path("index"), ["embed"])], settings.training, stage.device)
    shape = ShardDataset(stage.path("index"), ["latent"]).shape("latent")
    config = settings.model_dump(exclude={"training"})
    torch.manual_seed(settings.training.seed)
    loss = Objective(Looks(clips, Preview(backbone, settings.level), shape).draw, preview_loss)
    model, history = train_network(stage, build_preview(backbone, **config), loss)
    save_checkpoint(stage.outputs, model, {"kind": "preview", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, PreviewSettings)
