"""Train an interpolator, or put one without parameters into the same kind of checkpoint."""

from typing import Any

import torch

from interdiff.checkpoint import CONFIG, save_checkpoint
from interdiff.files import read_json
from interdiff.video.batches import TrainingClips
from interdiff.video.codecs import CHANNELS
from interdiff.video.interpolator_loss import interpolator_loss
from interdiff.video.methods import build_interpolator, interpolator_config, load_straightener
from interdiff.video.settings import InterpolatorSettings
from interdiff.video.shard_dataset import ShardDataset
from stages.runner import Stage, run_stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`, and where the settings ask for them the `straightener` and the teacher's index.

    Learns the clips that the teacher has filled, or all. Writes a checkpoint; the straightener is part of it, and is not
    trained further.
    """
    settings: InterpolatorSettings = stage.settings
    around = read_json(stage.folder("straightener") / CONFIG)["model"] if settings.straightened else None
    config = interpolator_config(settings, CHANNELS, around)
    torch.manual_seed(settings.training.seed)
    model: Any = build_interpolator(**config)
    if settings.straightened:
        straightener = load_straightener(stage.folder("straightener"), torch.device("cpu"))
        model.straightener.load_state_dict(straightener.state_dict())
        model.straightener.requires_grad_(False)
    history: list[dict[str, float]] = []
    if any(parameter.requires_grad for parameter in model.parameters()):
        data = [ShardDataset(stage.path("index"), ["latent"])]
        if settings.losses.teacher:
            data.insert(0, ShardDataset(stage.path("teacher"), ["filled", "mask"]))
        loss = interpolator_loss(TrainingClips(data, settings.training, stage.device), settings)
        model, history = train_network(stage, model, loss)
    save_checkpoint(stage.outputs, model, {"kind": "interpolator", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, InterpolatorSettings)
