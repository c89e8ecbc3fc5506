"""One shard of a folder of captioned videos: latents, embeddings and prompts, in the format of the Wan2.1-synthesised set."""

from interdiff.video.data.folder import shard_videos
from interdiff.workflow.pipelines.video_stages import VideosStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.encoding import write_videos


def main(stage: Stage) -> None:
    """Reads the codec and this shard's `videos`; writes `shard`, keyed by the videos' names below the folder."""
    settings: VideosStageSettings = stage.settings
    videos = shard_videos(settings.folder, settings.split, settings.number, settings.shards)
    write_videos(stage, videos, settings.folder)


if __name__ == "__main__":
    run_stage(main, VideosStageSettings)
