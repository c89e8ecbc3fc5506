"""The index of shards: where every sample's columns lie."""

from interdiff.video.shard_index import write_index
from interdiff.video.shards import COLUMNS_OF
from interdiff.video.stage_settings import IndexStageSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`, of a split or of a variant; writes `index`."""
    settings: IndexStageSettings = stage.settings
    write_index(stage.outputs["index"], stage.inputs["shards"], COLUMNS_OF[settings.holding])


if __name__ == "__main__":
    run_stage(main, IndexStageSettings)
