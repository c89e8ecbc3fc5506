"""One shard of the teacher's clips: what it makes of the frames that the masks leave out."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from interdiff.video.batches import clip_masks
from interdiff.video.codecs import load_codec
from interdiff.video.shard_dataset import ShardDataset
from interdiff.video.shards import TEACHER_COLUMNS, write_shard
from interdiff.video.stage_settings import TeacherStageSettings
from interdiff.video.teacher import load_teacher, teach
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads a split's `index` and the codec; writes `shard`, of the samples of the shard of the same name."""
    settings: TeacherStageSettings = stage.settings
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    teacher = load_teacher(settings.teacher, stage.device)
    data = ShardDataset(stage.path("index"), ("latent",))
    keys = data.keys_in(settings.number)

    def samples() -> Iterator[tuple[str, dict[str, Tensor | str]]]:
        for key in stage.progress(keys, "clips", unit="clip"):
            latent = data.by_key(key)["latent"].float().to(stage.device)
            masks = clip_masks(key, latent.shape[1], settings.masks.counts, settings.masks.seed)
            mask = torch.from_numpy(masks).to(stage.device)
            filled = teach(latent.expand(len(mask), *latent.shape), mask, codec, teacher)
            yield key, {"filled": filled.bfloat16(), "mask": torch.from_numpy(masks.astype(np.int64))}

    write_shard(stage.outputs["shard"], samples(), TEACHER_COLUMNS)


if __name__ == "__main__":
    run_stage(main, TeacherStageSettings)
