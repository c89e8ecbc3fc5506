"""results/maze/ablations.csv and quick_ablations.csv: what one change of the settings does to the plans, beside base."""

from collections.abc import Mapping

import pandas as pd

from interdiff.files import load_arrays, write_csv
from interdiff.maze.evaluation.ablations import ARRAYS, compared, plan_figures
from interdiff.maze.evaluation.settings import AblationsStageSettings
from interdiff.settings import BASE
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = ("ablation", "variant", "layout", "n", "figure", "mean", "se", "difference", "difference_se")


def main(stage: Stage) -> None:
    """Reads all variants' `samples`; writes `ablations`, a row per ablation, variant, layout and figure."""
    settings: AblationsStageSettings = stage.settings
    base = _figures(stage, settings.folders, BASE)
    work = [(group, name) for group, names in settings.ablations.items() for name in names]
    rows = []
    for group, name in stage.progress(work, "ablations", unit="variant"):
        figures = _figures(stage, settings.folders, name)
        rows += [{"ablation": group, "variant": name} | row for row in compared(figures, base)]
    write_csv(stage.outputs["ablations"], rows, COLUMNS)


def _figures(stage: Stage, folders: Mapping[str, str], variant: str) -> pd.DataFrame:
    return plan_figures(load_arrays(stage.results / folders[variant] / "samples.npz", ARRAYS))


if __name__ == "__main__":
    run_stage(main, AblationsStageSettings)
