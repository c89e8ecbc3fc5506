"""The index of shards of phase 1's outputs."""

from interdiff.video.shard_index import write_index
from interdiff.video.shards import ANCHOR_COLUMNS
from interdiff.video.stage_settings import IndexStageSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], ANCHOR_COLUMNS, stage.settings.partial)


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
