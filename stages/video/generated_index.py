"""The index of shards of the clips that the backbone made."""

from interdiff.settings import NoSettings
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import GENERATED_COLUMNS
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `shards`; writes `index`."""
    write_index(stage.outputs["index"], stage.inputs["shards"], GENERATED_COLUMNS)


if __name__ == "__main__":
    run_stage(main, NoSettings)
