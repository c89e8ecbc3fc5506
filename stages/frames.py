"""The frames of clips that networks of all frames learn from."""

from interdiff.video.backbone.losses import Noising, RandomFrames
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.workflow.stage import Stage


def random_frames(stage: Stage, settings: Noising) -> RandomFrames:
    """Random frames, at first, of the clips in the stage's `index`, and the `negative` prompt's embedding."""
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    negative = load_negative(stage.path("negative"), stage.device, data)
    return RandomFrames(TrainingClips([data], stage.settings.training, stage.device), negative, settings)
