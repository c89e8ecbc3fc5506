"""Train the backbone: a small Wan that turns prompts into clips, the teacher of both phases."""

from pathlib import Path

import torch

from interdiff.learning.checkpoints import MODEL, check_sums, load_weights, save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.backbone.backbone import build_backbone, fit_covariance, transformer_config, whiten_text
from interdiff.video.backbone.losses import RandomFrames, flow_matching_loss
from interdiff.video.backbone.settings import BackboneSettings
from interdiff.video.data.batches import load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.workflow.pipelines.video_stages import BackboneStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.rendering import training_clips
from stages.training import train_network

SAMPLE = 1000
"""Clips that a network's start follows: of whose prompts its projection of text does, and of whose latents its smoothing."""


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `negative` prompt's embedding and, to render clips, the codec.

    Writes a checkpoint.
    """
    settings: BackboneSettings = stage.settings.backbone
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    negative = load_negative(stage.path("negative"), stage.device, data)
    config = transformer_config(settings.transformer, negative.shape[-1])
    sample = range(min(len(data), SAMPLE))
    if error := settings.transformer.smoothing:
        config["smoothing"] = {"error": error, "weights": fit_covariance(data.batch("latent", sample).float())}
    torch.manual_seed(settings.training.seed)
    network = build_backbone(**config)
    if settings.transformer.text_components:
        rows = data.batch("embed", sample).flatten(0, 1)
        whiten_text(network, rows[rows.any(1)].float(), settings.transformer.text_components)
    if settings.start:
        check_sums(Path(settings.start))
        load_weights(Path(settings.start) / MODEL, network)
    clips = training_clips(stage, [data], settings.lengths)
    loss = Objective(RandomFrames(clips, negative, settings).draw, flow_matching_loss)
    model, history = train_network(stage, network, loss)
    save_checkpoint(stage.outputs, model, {"kind": "backbone", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, BackboneStageSettings)
