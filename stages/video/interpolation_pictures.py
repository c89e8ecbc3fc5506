"""Contact sheets of the best, the median and the worst clips of an interpolator beside all others; errors by gap; flows."""

import numpy as np
import torch
from torch import Tensor

from interdiff.files import load_arrays
from interdiff.plotting import training_curves
from interdiff.tables import read_table
from interdiff.video.codec.codec import FRAMES_PER_LATENT
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import clip_masks
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.interpolation import errors_by_gap, field_picture, ranked_samples, widest_gap
from interdiff.video.figures.pictures import contact_sheet, write_png
from interdiff.video.interpolators.interpolator import Interpolator, fill
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.interpolators.settings import IN_PIXELS
from interdiff.workflow.pipelines.video_stages import InterpolationPicturesStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


@torch.no_grad()
def main(stage: Stage) -> None:
    """Reads a split's `index`, the codec, `figures` by method, checkpoints and their histories; writes the pictures."""
    settings: InterpolationPicturesStageSettings = stage.settings
    figures = dict(zip(settings.methods, map(load_arrays, stage.inputs["figures"]), strict=True))
    folders = [path.parent for path in stage.inputs["interpolators"] if path.suffix == ".safetensors"]
    names = [name for name in settings.methods if name not in IN_PIXELS]
    models: dict[str, Interpolator] = {
        name: load_interpolator(folder, stage.device) for name, folder in zip(names, folders, strict=True)
    }
    errors_by_gap(figures, stage.outputs["errors"])
    histories = map(read_table, stage.inputs["histories"])
    training_curves(dict(zip(settings.networks, histories, strict=True)), stage.outputs["curves"])
    data = ShardDataset(stage.path("index"), ["latent"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)

    def decoded(z: Tensor) -> np.ndarray:
        return codec.decode(z)[0].cpu().numpy()

    samples = ranked_samples(figures[settings.drawn], figures[settings.reference])
    for place, (clip, row) in samples.items():
        sample = data[clip]
        truth = sample["latent"].float()[None].to(stage.device)
        masks = clip_masks(sample["key"], truth.shape[2], settings.masks.counts, settings.masks.seed)
        mask = torch.from_numpy(masks[row : row + 1]).to(stage.device)
        made = {name: fill(truth, mask, model)[0] for name, model in models.items()}
        known = f"truth (known: {', '.join(str(n) for n in mask[0].nonzero().flatten().tolist())})"
        rows = {known: decoded(truth)} | {name: decoded(z) for name, z in made.items()}
        write_png(stage.outputs[place], contact_sheet(rows, range(0, len(rows[known]), FRAMES_PER_LATENT), scale=2))
        if place == "median":
            field_picture(*widest_gap(models[settings.drawn], truth, mask, decoded), stage.outputs["fields"])


if __name__ == "__main__":
    run_stage(main, InterpolationPicturesStageSettings)
