"""One shard of clips that optical flow filled: what it makes of the frames that the masks leave out."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import clip_masks
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shards import OPTICAL_FLOW_COLUMNS, write_shard
from interdiff.video.interpolators.optical_flow import fill_in_pixels, load_optical_flow
from interdiff.workflow.pipelines.video_stages import OpticalFlowStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads a split's `index` and the codec; writes `shard`, of the samples of the shard of the same name."""
    settings: OpticalFlowStageSettings = stage.settings
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    rule = load_optical_flow(settings.optical_flow, stage.device)
    data = ShardDataset(stage.path("index"), ("latent",))
    keys = data.keys_in(settings.number)

    def samples() -> Iterator[tuple[str, dict[str, Tensor | str]]]:
        for key in stage.progress(keys, "clips", unit="clip"):
            latent = data.by_key(key)["latent"].float().to(stage.device)
            masks = clip_masks(key, latent.shape[1], settings.masks.counts, settings.masks.seed)
            mask = torch.from_numpy(masks).to(stage.device)
            filled = fill_in_pixels(latent.expand(len(mask), *latent.shape), mask, codec, rule)
            yield key, {"filled": filled.bfloat16(), "mask": torch.from_numpy(masks.astype(np.int64))}

    write_shard(stage.outputs["shard"], samples(), OPTICAL_FLOW_COLUMNS)


if __name__ == "__main__":
    run_stage(main, OpticalFlowStageSettings)
