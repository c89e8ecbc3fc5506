"""Train the straightener: a space in which lines between latents follow the video."""

import torch

from interdiff.checkpoint import save_checkpoint
from interdiff.video.batches import TrainingClips
from interdiff.video.codecs import CHANNELS
from interdiff.video.interpolator_loss import straightener_loss
from interdiff.video.methods import straightener_config
from interdiff.video.settings import StraightenerSettings
from interdiff.video.shard_dataset import ShardDataset
from interdiff.video.straightener import Straightener
from stages.runner import Stage, run_stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`; writes a checkpoint."""
    settings: StraightenerSettings = stage.settings
    config = straightener_config(settings, CHANNELS)
    torch.manual_seed(settings.training.seed)
    clips = TrainingClips([ShardDataset(stage.path("index"), ["latent"])], settings.training, stage.device)
    model, history = train_network(stage, Straightener(**config), straightener_loss(clips, settings))
    save_checkpoint(stage.outputs, model, {"kind": "straightener", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, StraightenerSettings)
