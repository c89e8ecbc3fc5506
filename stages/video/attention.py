"""results/video/attention.csv: the backbone with sparse attention, before and after its adaptation, beside the dense one."""

import torch

from interdiff.files import read_json, write_csv
from interdiff.workflow.pipelines.video_attention_stages import AttentionStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.comparison import ERRORS, FIGURES, compared

COLUMNS = (
    "kind", "feature_map", "keep", "adapted", "frames", "n", "velocity_error", "mass", *FIGURES, *ERRORS[: len(FIGURES)],
    "flops", *ERRORS[len(FIGURES) :], "reuse",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `samples`, `costs`, `faithfulness` and, where there are such, `adherence` and `content` of each variant in their
    order, the `exact` samples, and the indices of `fit` and `real` clips.

    Writes `attention`.
    """
    settings: AttentionStageSettings = stage.settings
    rows = compared(stage, settings.methods, stage.path("exact"), settings.methods[0])
    faithful = dict(zip(settings.methods, map(read_json, stage.inputs["faithfulness"]), strict=True))
    told = dict(zip(settings.methods, settings.attention, strict=True))
    table = [told[name].model_dump() | {"frames": row["k"]} | faithful[name] | row for name, row in rows.items()]
    kept = ({column: row.get(column) for column in COLUMNS} for row in table)
    write_csv(stage.outputs["attention"], kept, COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, AttentionStageSettings)
