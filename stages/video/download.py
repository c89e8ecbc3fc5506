"""One shard of a public data set, from the Hugging Face hub."""

import logging

from interdiff.video.data.hub import fetch_shard
from interdiff.workflow.pipelines.video_stages import DownloadStageSettings
from interdiff.workflow.progress import Progress
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads nothing here; writes `shard`. What a killed run has fetched is kept beside the training states."""
    # A line for every request, with an address that is signed for whoever asked.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    hub, number = stage.settings.hub, stage.settings.number
    file = hub.file.format(number=number)
    fetch_shard(hub.repository, hub.revision, file, stage.outputs["shard"], stage.state_folder, Progress)


if __name__ == "__main__":
    run_stage(main, DownloadStageSettings)
