"""Pictures of what all methods made of the same prompts and noise: quality against cost, samples, keyframes, training."""

import numpy as np
import torch

from interdiff.files import load_arrays
from interdiff.tables import read_table
from interdiff.video.codec.codec import FRAMES_PER_LATENT
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.pictures import contact_sheet, write_gif, write_png
from interdiff.video.figures.samples import chosen_frames, losses_together, quality_by_cost, side_by_side
from interdiff.workflow.pipelines.video_stages import SamplePicturesStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

SHOWN = 6
"""Prompts that are shown."""


def main(stage: Stage) -> None:
    """Reads `metrics`, `samples` of each method in their order, the `oracle` and `index` of test clips, the codec, and
    `histories` of what was trained.

    Writes `cost`, `samples` (a moving picture), `sheet`, `frames` and `losses`.
    """
    settings: SamplePicturesStageSettings = stage.settings
    samples = dict(zip(settings.methods, map(load_arrays, stage.inputs["samples"]), strict=True))
    data = ShardDataset(stage.path("index"), ["prompt", "latent"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)

    def decoded(z: np.ndarray) -> np.ndarray:
        return codec.decode(torch.from_numpy(z.astype(np.float32)).to(stage.device)).numpy(force=True)

    videos = {name: decoded(values["refined"][:SHOWN]) for name, values in samples.items()}
    truth = decoded(data.batch("latent", range(min(SHOWN, len(data)))).float().numpy())
    write_gif(stage.outputs["samples"], side_by_side({"truth": truth} | videos), scale=2)
    first = {
        f"{name}: {data[0]['prompt']}" if n == 0 else name: clips[0] for n, (name, clips) in enumerate(videos.items())
    }
    shown = range(0, len(truth[0]), FRAMES_PER_LATENT)
    write_png(stage.outputs["sheet"], contact_sheet(first, shown, scale=2))
    quality_by_cost(read_table(stage.path("metrics")), settings.teachers, stage.outputs["cost"])
    k = samples[settings.drawn]["indices"].shape[1]
    oracle = load_arrays(stage.path("oracle"))
    chosen = {"oracle": oracle[f"indices_{k}"].astype(int), settings.drawn: samples[settings.drawn]["indices"]}
    chosen_frames(chosen, oracle["cost"].shape[1], stage.outputs["frames"])
    histories = dict(zip(settings.networks, map(read_table, stage.inputs["histories"]), strict=True))
    losses_together(histories, stage.outputs["losses"])


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SamplePicturesStageSettings)
