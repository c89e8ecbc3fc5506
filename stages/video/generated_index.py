"""The index of shards of the clips that the backbone made."""

from interdiff.settings import NoSettings
from interdiff.video.shard_index import write_index
from interdiff.video.shards import GENERATED_COLUMNS
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], GENERATED_COLUMNS)


if __name__ == "__main__":
    run_stage(main, NoSettings)
