"""The index of a split's optical-flow shards."""

from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import OPTICAL_FLOW_COLUMNS
from interdiff.workflow.pipelines.video_stages import IndexStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], OPTICAL_FLOW_COLUMNS, stage.settings.partial)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
