"""The filled clips that networks learn to correct."""

from typing import TypeVar

from interdiff.files import load_arrays
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.planner.losses.refiner import FillingClips, nested_masks
from interdiff.video.planner.settings import FilledSettings
from interdiff.workflow.stage import Stage

Of = TypeVar("Of", bound=FillingClips)


def filling_clips(stage: Stage, kind: type[Of], settings: FilledSettings) -> Of:
    """Of the stage's `index` the clips that have `anchors`, with their `oracle` and the `interpolator`."""
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    anchors = ShardDataset(stage.path("anchors"), ["frames", "keyframes"])
    clips = TrainingClips([anchors, data], stage.settings.training, stage.device)
    cost = load_arrays(stage.path("oracle"))["cost"][[data.number(key) for key in anchors.keys]]
    interpolator = load_interpolator(stage.folder("interpolator"), stage.device)
    return kind(clips, nested_masks(cost, settings.levels, stage.settings.max_gap_factor), interpolator, settings)
