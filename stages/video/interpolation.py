"""Figures of an interpolator, or of optical flow, on held-out clips: every missing frame of every mask."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from interdiff.files import write_arrays, write_json
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import clip_masks
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.costs import costs
from interdiff.video.evaluation.interpolation import frame_figures
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.workflow.pipelines.video_stages import InterpolationStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

Filled = tuple[Tensor, Tensor | None]


@torch.no_grad()
def main(stage: Stage) -> None:
    """Reads a split's `index`, the codec, and an `interpolator` or the index of `optical_flow`'s shards.

    Writes `figures`, arrays [clips, masks, T], and `costs`, empty for optical flow.
    """
    settings: InterpolationStageSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    filled, cost = _by_optical_flow(stage) if "optical_flow" in stage.inputs else _interpolated(stage, data)
    figures = []
    for number in stage.progress(range(min(settings.clips, len(data))), "clips", unit="clip"):
        sample = data[number]
        latent = sample["latent"].float().to(stage.device)
        masks = clip_masks(sample["key"], latent.shape[1], settings.masks.counts, settings.masks.seed)
        mask = torch.from_numpy(masks)
        known = latent.expand(len(mask), *latent.shape)
        figures.append(frame_figures(latent, *filled(sample["key"], known, mask), mask, codec))
    write_arrays(stage.outputs["figures"], {name: np.stack([f[name] for f in figures]) for name in figures[0]})
    write_json(stage.outputs["costs"], cost)


def _interpolated(stage: Stage, data: ShardDataset) -> tuple[Callable[[str, Tensor, Tensor], Filled], dict[str, float]]:
    model = load_interpolator(stage.folder("interpolator"), stage.device)
    cost = costs(model, data[0]["latent"].float().to(stage.device))
    return lambda key, known, mask: fill(known, mask, model), cost


def _by_optical_flow(stage: Stage) -> tuple[Callable[[str, Tensor, Tensor], Filled], dict[str, float]]:
    clips = ShardDataset(stage.path("optical_flow"), ["filled"])
    return lambda key, known, mask: (clips.by_key(key)["filled"].to(known), None), {}


if __name__ == "__main__":
    run_stage(main, InterpolationStageSettings)
