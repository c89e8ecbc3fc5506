"""The index of a split's shards: where every sample's columns lie."""

from interdiff.video.settings import IndexStageSettings
from interdiff.video.shards import COLUMNS, TEACHER_COLUMNS, write_index
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    columns = {"video": COLUMNS, "teacher": TEACHER_COLUMNS}[stage.settings.columns]
    write_index(stage.outputs["index"], stage.inputs["shards"], columns)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
