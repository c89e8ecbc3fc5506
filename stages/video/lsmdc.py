"""One shard of film clips: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.video.codec.codec import latent_frames
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.lsmdc import FilmClip, clip_file, read_annotations, read_clip
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.pipelines.video_stages import LsmdcStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the codec, `annotations` of the split, and the clips' videos; writes `shard`, keyed by the clips' names."""
    settings: LsmdcStageSettings = stage.settings
    latent_frames(settings.frames)
    clips = _chosen(stage.path("annotations"), settings)
    videos = [clip_file(Path(settings.lsmdc.videos), clip) for clip in clips]
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    _check_size(settings.lsmdc.size, codec.factor)
    encoder = load_text_encoder(settings.text.folder, settings.text.rows, stage.device)

    def samples() -> Iterator[tuple[str, dict[str, Tensor | str]]]:
        for clip, path in stage.progress(list(zip(clips, videos, strict=True)), "clips", unit="clip"):
            video = torch.from_numpy(_pictures(clip, path, settings))[None].to(stage.device)
            latent, embed = codec.encode(video)[0], encoder([clip.sentence])[0]
            yield clip.key, {"latent": latent.bfloat16(), "embed": embed.bfloat16(), "prompt": clip.sentence}

    write_shard(stage.outputs["shard"], samples(), COLUMNS)


def _chosen(annotations: Path, settings: LsmdcStageSettings) -> list[FilmClip]:
    """The clips of this shard; the last shard may have fewer than the others."""
    clips, per_shard = read_annotations(annotations), settings.lsmdc.per_shard
    first = settings.number * per_shard
    if first >= len(clips):
        raise InputError(
            f"{annotations}: {len(clips)} clips; shard {settings.number} of {per_shard} each would begin after {first}"
        )
    return clips[first : first + per_shard]


def _check_size(size: tuple[int, int], factor: int) -> None:
    if any(side % factor for side in size):
        raise InputError(f"lsmdc.size: {size[0]} x {size[1]}; expected multiples of the codec's {factor}")


def _pictures(clip: FilmClip, path: Path, settings: LsmdcStageSettings) -> np.ndarray:
    """The clip's pictures; where a random part begins depends on seed and key alone, not on the order of clips."""
    lsmdc = settings.lsmdc
    rng = np.random.default_rng([lsmdc.seed, *clip.key.encode()])
    return read_clip(path, settings.frames, lsmdc.seconds, lsmdc.size, lsmdc.crop, rng)


if __name__ == "__main__":
    run_stage(main, LsmdcStageSettings)
