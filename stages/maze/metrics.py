"""results/maze/metrics.csv: the reported variants' figures in one table."""

import pandas as pd

from interdiff.tables import read_table, write_table
from interdiff.workflow.pipelines.maze_report import ReportSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads each reported variant's `metrics`, in their order; writes one table, each row under its variant's name."""
    parts = zip(stage.settings.variants, stage.inputs["metrics"], strict=True)
    tables = [read_table(path, text=True).assign(variant=name) for name, path in parts]
    write_table(stage.outputs["metrics"], pd.concat(tables))


if __name__ == "__main__":
    run_stage(main, ReportSettings)
