"""Clips that a network learns from: those of the training shards, or new ones that are rendered as they are needed."""

from collections.abc import Sequence

import torch

from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import RenderedClips, TrainingBatches, TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.stage import Stage


def training_clips(stage: Stage, data: Sequence[ShardDataset], lengths: Sequence[int] = ()) -> TrainingBatches:
    """Batches of shards, or of scenes by the codec of the stage where its settings have `rendered`.

    lengths: numbers of frames that batches of scenes have in turn; none: that of shards.
    """
    training, rendered = stage.settings.training, stage.settings.rendered
    if rendered is None:
        return TrainingClips(data, training, stage.device)
    # On the CPU, where they are rendered while a GPU learns.
    cpu = torch.device("cpu")
    codec = load_codec(rendered.codec, stage.folder("codec"), cpu)
    encoder = load_text_encoder(rendered.text, cpu) if rendered.text else None
    return RenderedClips(rendered.clips, codec, encoder, training, stage.device, lengths)
