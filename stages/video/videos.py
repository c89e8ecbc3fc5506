"""One shard of a folder of captioned videos: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from interdiff.video.codec.loading import load_codec
from interdiff.video.data.encoding import encoded
from interdiff.video.data.folder import shard_videos
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.pipelines.video_stages import VideosStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the codec and this shard's `videos`; writes `shard`, keyed by the videos' names below the folder."""
    settings: VideosStageSettings = stage.settings
    videos = shard_videos(settings.folder, settings.split, settings.number, settings.shards)
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    encoder = load_text_encoder(settings.text.folder, settings.text.rows, stage.device)
    progress = stage.progress(videos, "videos", unit="video")
    samples = encoded(progress, settings.frames, settings.folder, codec, encoder, stage.device)
    write_shard(stage.outputs["shard"], samples, COLUMNS)


if __name__ == "__main__":
    run_stage(main, VideosStageSettings)
