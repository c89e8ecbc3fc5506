"""results/maze/metrics.csv: the reported variants' figures in one table."""

from interdiff.files import read_csv, write_csv
from interdiff.maze.settings import ReportSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads each reported variant's `metrics`, in their order; writes one table, each row under its variant's name."""
    tables = zip(stage.settings.variants, stage.inputs["metrics"], strict=True)
    write_csv(stage.outputs["metrics"], [row | {"variant": name} for name, path in tables for row in read_csv(path)])


if __name__ == "__main__":
    run_stage(main, ReportSettings)
