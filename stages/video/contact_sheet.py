"""A contact sheet of a split as it was read: some of its clips with their prompts, in latents and back."""

import numpy as np
import torch

from interdiff.video.codec.codec import FRAMES_PER_LATENT
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.settings import ContactSheetSettings
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.pictures import contact_sheet, shrunk, write_png
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


@torch.no_grad()
def main(stage: Stage) -> None:
    """Reads a split's `index` and the codec; writes `sheet`: a row of every fourth frame for each of evenly spaced clips."""
    settings: ContactSheetSettings = stage.settings
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    data = ShardDataset(stage.path("index"), ["latent", "prompt"])
    numbers = np.unique(np.linspace(0, len(data) - 1, settings.clips).round().astype(int))
    rows = {}
    for number in stage.progress(numbers.tolist(), "clips", unit="clip"):
        sample = data[number]
        z = sample["latent"].float()[None].to(stage.device)
        rows[f"{sample['key']}: {sample['prompt']}"] = shrunk(codec.decode(z)[0].cpu().numpy())[::FRAMES_PER_LATENT]
    write_png(stage.outputs["sheet"], contact_sheet(rows, range(min(map(len, rows.values()))), scale=2))


if __name__ == "__main__":
    run_stage(main, ContactSheetSettings)
