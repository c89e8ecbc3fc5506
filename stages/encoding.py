"""Writing a shard of captioned videos: the stages of film clips and of a folder."""

from __future__ import annotations

from collections.abc import Sequence

from interdiff.video.codec.loading import load_codec
from interdiff.video.data.encoding import encoded
from interdiff.video.data.folder import Video
from interdiff.video.data.settings import VideosSettings
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.stage import Stage


def write_videos(stage: Stage, videos: Sequence[Video], taken: VideosSettings) -> None:
    """Write the stage's `shard` of what is taken of videos, by its codec and text encoder."""
    settings = stage.settings
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    encoder = load_text_encoder(settings.text, stage.device)
    progress = stage.progress(videos, "videos", unit="video")
    write_shard(
        stage.outputs["shard"], encoded(progress, settings.frames, taken, codec, encoder, stage.device), COLUMNS
    )
