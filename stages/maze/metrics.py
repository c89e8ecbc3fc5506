"""results/maze/metrics.csv: the reported variants' figures in one table."""

from interdiff.files import read_csv, write_csv
from interdiff.workflow.pipelines.maze import ReportSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads each reported variant's `metrics`, in their order; writes one table, each row under its variant's name."""
    tables = zip(stage.settings.variants, stage.inputs["metrics"], strict=True)
    write_csv(stage.outputs["metrics"], [row | {"variant": name} for name, path in tables for row in read_csv(path)])


if __name__ == "__main__":
    run_stage(main, ReportSettings)
