"""The index of shards of one kind: where every sample's columns lie."""

from interdiff.video.shard_index import write_index
from interdiff.video.shards import ANCHOR_COLUMNS, COLUMNS, GENERATED_COLUMNS, TEACHER_COLUMNS
from interdiff.video.stage_settings import IndexStageSettings
from stages.runner import Stage, run_stage

COLUMNS_OF = {
    "clips": COLUMNS,
    "teacher": TEACHER_COLUMNS,
    "generated": GENERATED_COLUMNS,
    "anchors": ANCHOR_COLUMNS,
}


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    settings: IndexStageSettings = stage.settings
    write_index(stage.outputs["index"], stage.inputs["shards"], COLUMNS_OF[settings.kind], settings.partial)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
