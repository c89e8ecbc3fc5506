"""results/video/tuning.csv: what is chosen by validation prompts, one setting of sampling after the other."""

import torch

from interdiff.files import write_csv
from interdiff.workflow.pipelines.video_stages import TuningStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.comparison import ERRORS, FIGURES, compared

COLUMNS = (
    "method", "changed", "k", "n", *FIGURES, "flops", "seconds", "full_step_units", "full_step_seconds", *ERRORS
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where there are such, `adherence` and `content` of each variant in their order, and the
    validation split's index as `fit` and `real`.

    Writes `tuning`; distances and differences are from the first variant.
    """
    settings: TuningStageSettings = stage.settings
    rows = compared(stage, settings.methods, stage.inputs["samples"][0], settings.methods[0])
    changed = dict(zip(settings.methods, settings.changed, strict=True))
    write_csv(
        stage.outputs["tuning"],
        [{"method": name, "changed": changed[name]} | row for name, row in rows.items()],
        COLUMNS,
    )


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, TuningStageSettings)
