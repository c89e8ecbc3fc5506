"""Train the straightener: a space in which lines between latents follow the video."""

from functools import partial

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.codec.codec import CHANNELS
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.loading import straightener_config
from interdiff.video.interpolators.losses import RandomMoments, straightener_loss
from interdiff.video.interpolators.settings import StraightenerSettings
from interdiff.video.interpolators.straightener import Straightener
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads the training split's `index`; writes a checkpoint."""
    settings: StraightenerSettings = stage.settings
    config = straightener_config(settings, CHANNELS)
    torch.manual_seed(settings.training.seed)
    clips = TrainingClips([ShardDataset(stage.path("index"), ["latent"])], settings.training, stage.device)
    moments = RandomMoments(clips, settings.moments)
    loss = partial(straightener_loss, straightness=settings.straightness)
    model, history = train_network(stage, Straightener(**config), Objective(moments.draw, loss))
    save_checkpoint(stage.outputs, model, {"kind": "straightener", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, StraightenerSettings)
