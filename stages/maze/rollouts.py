"""results/maze/rollouts.csv: the scores of all tasks and maps in one table."""

from interdiff.settings import NoSettings
from interdiff.tables import read_tables, write_table
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `scores` of each task and map, in their order; writes `rollouts`."""
    write_table(stage.outputs["rollouts"], read_tables(stage.inputs["scores"], text=True))


if __name__ == "__main__":
    run_stage(main, NoSettings)
