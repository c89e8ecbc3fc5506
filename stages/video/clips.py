"""One shard of rendered clips: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from collections.abc import Iterator

import torch
from torch import Tensor

from interdiff.video.codec.loading import load_codec
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.pipelines.video_stages import ClipsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

TOGETHER = 50
"""Prompts that are embedded at once."""


def main(stage: Stage) -> None:
    """Reads the codec; writes `shard`, whose samples are numbered within their split."""
    settings: ClipsStageSettings = stage.settings
    rendered = settings.rendered
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    encoder = load_text_encoder(settings.text, stage.device)
    first = settings.number * rendered.per_shard
    scenes = [split_scene(rendered.seed, settings.split, first + n) for n in range(rendered.per_shard)]
    prompts = [scene.prompt for scene in scenes]
    embeds = [encoder(prompts[n : n + TOGETHER]).bfloat16() for n in range(0, len(prompts), TOGETHER)]

    def samples() -> Iterator[tuple[str, dict[str, Tensor | str]]]:
        numbered = enumerate(zip(scenes, torch.cat(embeds), strict=True))
        for n, (scene, embed) in stage.progress(list(numbered), "clips", unit="clip"):
            video = torch.from_numpy(render(scene, rendered.frames, rendered.side))[None].to(stage.device)
            latent = codec.encode(video)[0].bfloat16()
            yield f"{first + n:09d}", {"latent": latent, "embed": embed, "prompt": scene.prompt}

    write_shard(stage.outputs["shard"], samples(), COLUMNS)


if __name__ == "__main__":
    run_stage(main, ClipsStageSettings)
