"""results/video/tuning.csv: settings of sampling, and which of them validation prompts choose."""

import torch

from interdiff.files import write_csv
from interdiff.video.evaluation.comparison import chosen
from interdiff.workflow.pipelines.video_stages import TuningStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.comparison import ERRORS, FIGURES, compared

COLUMNS = (
    "method", "changed", "chosen", "k", "n", *FIGURES, "flops", "seconds", "full_step_units", "full_step_seconds", *ERRORS
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where there are such, `adherence` and `content` of each variant in their order, and the
    validation split's index as `fit` and `real`.

    Writes `tuning`; distances and differences are from the first variant. One of each kind is `chosen`.
    """
    settings: TuningStageSettings = stage.settings
    rows = compared(stage, settings.methods, stage.inputs["samples"][0], settings.methods[0])
    kinds = dict(zip(settings.methods, settings.kinds, strict=True))
    best = {chosen({name: rows[name] for name in rows if kinds[name] == kind}) for kind in set(settings.kinds)}
    told = {
        name: {"changed": changed, "chosen": "yes" if name in best else None}
        for name, changed in zip(settings.methods, settings.changed, strict=True)
    }
    write_csv(stage.outputs["tuning"], [{"method": name} | told[name] | row for name, row in rows.items()], COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, TuningStageSettings)
