"""results/maze/rollouts.csv: the scores of all tasks and maps in one table."""

from interdiff.files import read_csv, write_csv
from interdiff.settings import NoSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `scores` of each task and map, in their order; writes `rollouts`."""
    write_csv(stage.outputs["rollouts"], [row for path in stage.inputs["scores"] for row in read_csv(path)])


if __name__ == "__main__":
    run_stage(main, NoSettings)
