"""Fit the laptop's codec on rendered clips or on videos of one's own, and measure how well it reconstructs others."""

from collections.abc import Iterator

import numpy as np
import torch

from interdiff.files import write_json
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.codec.codec import reconstruction_psnr
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.data.encoding import pictures
from interdiff.video.data.folder import split_videos
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.settings import Split
from interdiff.workflow.pipelines.video_stages import CodecStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `videos`, if they are one's own; writes a checkpoint, and `metrics`: the PSNR of as many clips of the test split
    as it was fitted on, where there are so many.
    """
    settings: CodecStageSettings = stage.settings
    rendered = settings.rendered

    def clips(split: Split) -> Iterator[torch.Tensor]:
        if settings.folder is not None:
            videos = split_videos(settings.folder)[split][: settings.codec.clips]
            for video in stage.progress(videos, split, unit="video"):
                taken = pictures(video, rendered.frames, settings.folder)
                if taken is not None:
                    yield torch.from_numpy(taken)[None]
            return
        for number in stage.progress(range(settings.codec.clips), split, unit="clip"):
            scene = split_scene(rendered.seed, split, number)
            yield torch.from_numpy(render(scene, rendered.frames, rendered.side))[None]

    codec = fit_linear_codec(clips("train"), settings.codec.factor, settings.codec.whitening)
    save_checkpoint(stage.outputs, codec, {"kind": "linear_codec", "model": {"factor": settings.codec.factor}}, [])
    decibels = [reconstruction_psnr(codec, video) for video in clips("test")]
    spread = np.std(decibels, ddof=1) / np.sqrt(len(decibels)) if len(decibels) > 1 else np.nan
    write_json(stage.outputs["metrics"], {"psnr": float(np.mean(decibels)), "psnr_se": float(spread)})


if __name__ == "__main__":
    run_stage(main, CodecStageSettings)
