"""One shard of film clips: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from pathlib import Path

from interdiff.errors import InputError
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.encoding import encoded
from interdiff.video.data.folder import Video
from interdiff.video.data.lsmdc import FilmClip, clip_file, read_annotations
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.pipelines.video_stages import LsmdcStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the codec, `annotations` of the split, and the clips' videos; writes `shard`, keyed by the clips' names."""
    settings: LsmdcStageSettings = stage.settings
    clips = _chosen(stage.path("annotations"), settings)
    videos = [Video(clip.key, clip_file(Path(settings.lsmdc.videos), clip), clip.sentence) for clip in clips]
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    encoder = load_text_encoder(settings.text.folder, settings.text.rows, stage.device)
    progress = stage.progress(videos, "clips", unit="clip")
    samples = encoded(progress, settings.frames, settings.lsmdc, codec, encoder, stage.device)
    write_shard(stage.outputs["shard"], samples, COLUMNS)


def _chosen(annotations: Path, settings: LsmdcStageSettings) -> list[FilmClip]:
    """The clips of this shard; the last shard may have fewer than the others."""
    clips, per_shard = read_annotations(annotations), settings.lsmdc.per_shard
    first = settings.number * per_shard
    if first >= len(clips):
        raise InputError(
            f"{annotations}: {len(clips)} clips; shard {settings.number} of {per_shard} each would begin after {first}"
        )
    return clips[first : first + per_shard]


if __name__ == "__main__":
    run_stage(main, LsmdcStageSettings)
