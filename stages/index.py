"""The index of shards: where every sample's columns lie."""

from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import ANCHOR_COLUMNS, COLUMNS, GENERATED_COLUMNS, OPTICAL_FLOW_COLUMNS
from interdiff.workflow.pipelines.video_stages import IndexStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

KINDS = {
    "clips": COLUMNS,
    "generated": GENERATED_COLUMNS,
    "anchors": ANCHOR_COLUMNS,
    "optical_flow": OPTICAL_FLOW_COLUMNS,
}


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    columns, partial = KINDS[stage.settings.kind], stage.settings.partial
    shards = stage.inputs["shards"]
    left_out = write_index(
        stage.outputs["index"], shards, columns, partial, lambda paths: stage.progress(paths, "reading", unit="shard")
    )
    print(f"left out: {left_out.partial} samples that lack a column{left_out.others()}", flush=True)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
