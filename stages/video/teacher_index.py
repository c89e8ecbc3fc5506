"""The index of a split's teacher shards."""

from interdiff.video.shard_index import write_index
from interdiff.video.shards import TEACHER_COLUMNS
from interdiff.video.stage_settings import IndexStageSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], TEACHER_COLUMNS, stage.settings.partial)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
