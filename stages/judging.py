"""Judging a method's clips one by one: the stages of the tracker and of a CLIP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from interdiff.files import load_arrays
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.workflow.stage import Stage


def judged(stage: Stage, judge: Callable[[np.ndarray, str], Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each clip: its key, and what is said of its video [T, H, W, 3] uint8 and its prompt."""
    samples = load_arrays(stage.path("samples"), ("keys", "refined"))
    prompts = ShardDataset(stage.path("index"), ["prompt"])
    codec = load_codec(stage.settings.codec, stage.folder("codec"), stage.device)
    for key, z in zip(samples["keys"].tolist(), stage.progress(samples["refined"], "clips", unit="clip"), strict=True):
        video = codec.decode(torch.from_numpy(z.astype(np.float32))[None].to(stage.device))[0].numpy(force=True)
        yield {"key": key, **judge(video, prompts.by_key(key)["prompt"])}
