"""results/video/metrics.csv: quality and cost of all methods on the same prompts and noise."""

import torch

from interdiff.files import load_arrays, read_json, write_csv
from interdiff.tables import read_table
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.comparison import ADHERENCE, Reference, quality
from interdiff.workflow.pipelines.video_stages import MetricsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

FIGURES = ("frechet", *ADHERENCE, "smoothness", "sharpness", "distance")
COLUMNS = (
    "method", "steps", "k", "n", *FIGURES, "flops", "seconds", "full_step_units", "full_step_seconds",
    *(f"{name}_se" for name in FIGURES), *(f"{name}_vs_reference" for name in FIGURES),
    *(f"{name}_vs_reference_se" for name in FIGURES),
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where prompts are of rendered clips, `adherence` of each method in their order, and the
    indices of `fit` and `real` clips.

    Writes the table.
    """
    settings: MetricsStageSettings = stage.settings
    samples = dict(zip(settings.methods, map(load_arrays, stage.inputs["samples"]), strict=True))
    adherence = stage.inputs.get("adherence", [])
    tracked = dict(zip(settings.methods, map(read_table, adherence), strict=True)) if adherence else {}
    costs = dict(zip(settings.methods, map(read_json, stage.inputs["costs"]), strict=True))
    fit, real = (ShardDataset(stage.path(name), ["latent"]) for name in ("fit", "real"))
    fit_clips, real_clips = (data.batch("latent", range(len(data))).float() for data in (fit, real))
    exact = torch.from_numpy(samples[settings.exact]["refined"]).float()
    compared = Reference(fit_clips, real_clips, exact)
    figures = {
        name: quality(torch.from_numpy(samples[name]["refined"]).float(), tracked.get(name), compared)
        for name in settings.methods
    }
    rows = []
    for name, steps in zip(settings.methods, settings.steps, strict=True):
        indices = samples[name]["indices"]
        row = {"method": name, "steps": steps, "k": indices.shape[1], "n": len(indices)}
        rows.append(row | figures[name].row(figures[settings.reference]) | costs[name])
    write_csv(stage.outputs["metrics"], rows, COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, MetricsStageSettings)
