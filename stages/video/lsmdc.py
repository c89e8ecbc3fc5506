"""One shard of film clips: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from pathlib import Path

from interdiff.errors import InputError
from interdiff.video.data.folder import Video
from interdiff.video.data.lsmdc import FilmClip, clip_file, read_annotations
from interdiff.workflow.pipelines.video_stages import LsmdcStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.encoding import write_videos


def main(stage: Stage) -> None:
    """Reads the codec, `annotations` of the split, and the clips' videos; writes `shard`, keyed by the clips' names."""
    settings: LsmdcStageSettings = stage.settings
    clips = _chosen(stage.path("annotations"), settings)
    videos = [Video(clip.key, clip_file(Path(settings.lsmdc.videos), clip), clip.sentence) for clip in clips]
    write_videos(stage, videos, settings.lsmdc)


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
