"""The index of shards of phase 1's outputs."""

from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import ANCHOR_COLUMNS
from interdiff.workflow.pipelines.video_stages import IndexStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], ANCHOR_COLUMNS, stage.settings.partial)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
