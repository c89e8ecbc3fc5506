"""results/video/metrics.csv: quality and cost of all methods on the same prompts and noise."""

import torch

from interdiff.files import write_csv
from interdiff.workflow.pipelines.video_stages import MetricsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.comparison import ERRORS, FIGURES, compared

COLUMNS = (
    "method", "steps", "k", "n", *FIGURES, "flops", "seconds", "full_step_units", "full_step_seconds", *ERRORS
)  # fmt: skip
LADDER = ("n", "adherence", "adherence_se", "frechet", "frechet_se", "full_step_units")


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where there are such, `adherence` and `content` of each method in their order, and the
    indices of `fit` and `real` clips.

    Writes `metrics`, and of some of its rows `ladder`.
    """
    settings: MetricsStageSettings = stage.settings
    exact = dict(zip(settings.methods, stage.inputs["samples"], strict=True))[settings.exact]
    rows = compared(stage, settings.methods, exact, settings.reference)
    steps = dict(zip(settings.methods, settings.steps, strict=True))
    table = [{"method": name, "steps": steps[name]} | row for name, row in rows.items()]
    write_csv(stage.outputs["metrics"], table, COLUMNS)
    ladder = [{"row": name} | {column: rows[name].get(column) for column in LADDER} for name in settings.ladder]
    write_csv(stage.outputs["ladder"], ladder, ("row", *LADDER))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, MetricsStageSettings)
