"""results/video/milestone.csv and .png: quality against cost of students, teachers and both phases, over training seeds."""

from statistics import mean

import torch

from interdiff.files import write_csv
from interdiff.tables import read_table
from interdiff.video.evaluation.comparison import over_seeds
from interdiff.video.figures.samples import quality_by_cost
from interdiff.workflow.pipelines.video_attention_stages import MilestoneStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.comparison import DIVERSITY, FIGURES, compared

COSTS = ("full_step_units", "full_step_seconds")
QUALITY = (*FIGURES, DIVERSITY)
COLUMNS = (
    "method", "frames", "steps", "k", "passes", "attention", "seeds", "n", *QUALITY, *(f"{name}_se" for name in QUALITY), *COSTS
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where there are such, `adherence` and `content` of each run in their order, samples of
    `other_noise` of some, the `exact` samples, and the indices of `fit` and `real` clips.

    Writes `milestone`, and its `picture`.
    """
    settings: MilestoneStageSettings = stage.settings
    runs = [run for row in settings.rows for run in row.runs]
    other_noise = dict(zip(settings.diverse, stage.inputs.get("other_noise", []), strict=True))
    found = compared(stage, runs, stage.path("exact"), runs[0], other_noise)
    table = []
    for row in settings.rows:
        own = [found[run] for run in row.runs]
        cell = row.model_dump(exclude={"runs"}) | {"frames": settings.frames, "seeds": len(own)}
        shared = {name: own[0][name] for name in ("k", "n")} | {name: mean(run[name] for run in own) for name in COSTS}
        table.append(cell | shared | over_seeds(own, [name for name in QUALITY if name in own[0]]))
    write_csv(stage.outputs["milestone"], table, COLUMNS)
    quality_by_cost(read_table(stage.outputs["milestone"]), settings.teachers, stage.outputs["picture"])


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, MilestoneStageSettings)
