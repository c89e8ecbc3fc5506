"""Pictures of what all methods made of the same prompts and noise: quality against cost, samples, keyframes, training."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from interdiff.files import load_arrays
from interdiff.tables import read_table
from interdiff.video.codec.codec import FRAMES_PER_LATENT
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.pictures import contact_sheet, shrunk, write_mp4, write_png
from interdiff.video.figures.samples import chosen_frames, error_ladder, losses_together, quality_by_cost, side_by_side
from interdiff.workflow.pipelines.video_stages import SamplePicturesStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

SHOWN = 6
"""Prompts that are shown."""


def main(stage: Stage) -> None:
    """Reads `metrics`, `samples` of each method in their order, the `oracle` and `index` of test clips, the codec, and
    `histories` of what was trained.

    Writes `cost`, `samples` (a video), `sheet`, `frames`, `losses` and `ladder`.
    """
    settings: SamplePicturesStageSettings = stage.settings
    samples = dict(zip(settings.methods, stage.inputs["samples"], strict=True))
    data = ShardDataset(stage.path("index"), ["prompt", "latent"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)

    def shown(clips: Iterable[Tensor]) -> np.ndarray:
        decoded = (codec.decode(z[None].float().to(stage.device))[0].numpy(force=True) for z in clips)
        return np.stack([shrunk(video) for video in decoded])

    videos = {
        name: shown(torch.from_numpy(load_arrays(path, ("refined",))["refined"][:SHOWN]))
        for name, path in stage.progress(list(samples.items()), "methods", unit="method")
    }
    truth = shown(data.view("latent", number) for number in range(min(SHOWN, len(data))))
    write_mp4(stage.outputs["samples"], side_by_side({"truth": truth} | videos), scale=2)
    first = {
        f"{name}: {data[0]['prompt']}" if n == 0 else name: clips[0] for n, (name, clips) in enumerate(videos.items())
    }
    write_png(stage.outputs["sheet"], contact_sheet(first, range(0, len(truth[0]), FRAMES_PER_LATENT), scale=2))
    metrics = read_table(stage.path("metrics")).set_index("method", drop=False)
    quality_by_cost(metrics.loc[settings.priced], settings.teachers, stage.outputs["cost"])
    error_ladder(metrics.loc[settings.ladder], stage.outputs["ladder"])
    drawn = load_arrays(samples[settings.drawn], ("indices",))["indices"]
    oracle = load_arrays(stage.path("oracle"))
    chosen = {"oracle": oracle[f"indices_{drawn.shape[1]}"].astype(int), settings.drawn: drawn}
    chosen_frames(chosen, oracle["cost"].shape[1], stage.outputs["frames"])
    histories = dict(zip(settings.networks, map(read_table, stage.inputs["histories"]), strict=True))
    losses_together(histories, stage.outputs["losses"])


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SamplePicturesStageSettings)
