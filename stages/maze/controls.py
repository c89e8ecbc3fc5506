"""results/maze/controls.csv: variants beside base, means over training seeds and held-out sequences."""

from collections.abc import Sequence

import pandas as pd

from interdiff.files import load_arrays, write_csv
from interdiff.maze.evaluation.ablations import ARRAYS, plan_figures
from interdiff.maze.evaluation.controls import control_rows
from interdiff.maze.evaluation.settings import ControlsStageSettings
from interdiff.settings import BASE
from interdiff.tables import read_tables
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COSTS = ["nfe", "plan_ms"]


def main(stage: Stage) -> None:
    """Reads all variants' `samples` and `metrics`, of all their seeds; writes `controls`, a row per variant and layout."""
    settings: ControlsStageSettings = stage.settings
    base = _figures(stage, settings.folders[BASE])
    rows = []
    for name in stage.progress(settings.controls, "controls", unit="variant"):
        folders = settings.folders[name]
        metrics = read_tables([stage.results / folder / "metrics.csv" for folder in folders])
        costs = metrics.groupby("layout")[COSTS].mean().to_dict("index")
        rows += [{"variant": name} | row for row in control_rows(_figures(stage, folders), base, costs)]
    write_csv(stage.outputs["controls"], rows)


def _figures(stage: Stage, folders: Sequence[str]) -> list[pd.DataFrame]:
    return [plan_figures(load_arrays(stage.results / folder / "samples.npz", ARRAYS)) for folder in folders]


if __name__ == "__main__":
    run_stage(main, ControlsStageSettings)
