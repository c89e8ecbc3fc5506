"""The index of a split's shards: where every sample's columns lie."""

from interdiff.settings import NoSettings
from interdiff.video.shard_index import write_index
from interdiff.video.shards import COLUMNS
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], COLUMNS)


if __name__ == "__main__":
    run_stage(main, NoSettings)
