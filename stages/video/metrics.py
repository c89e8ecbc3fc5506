"""results/video/metrics.csv: quality and cost of all methods on the same prompts and noise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interdiff.files import load_arrays, read_json, write_csv
from interdiff.tables import read_table
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.comparison import ADHERENCE, CONTENT, Reference, distances, measured, quality
from interdiff.workflow.pipelines.video_stages import MetricsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

FIGURES = ("frechet", *ADHERENCE, *CONTENT, "smoothness", "sharpness", "distance")
COLUMNS = (
    "method", "steps", "k", "n", *FIGURES, "flops", "seconds", "full_step_units", "full_step_seconds",
    *(f"{name}_se" for name in FIGURES), *(f"{name}_vs_reference" for name in FIGURES),
    *(f"{name}_vs_reference_se" for name in FIGURES),
)  # fmt: skip

LADDER = ("n", "adherence", "adherence_se", "frechet", "frechet_se", "full_step_units")


def main(stage: Stage) -> None:
    """Reads `samples`, `costs` and, where there are such, `adherence` and `content` of each method in their order, and the
    indices of `fit` and `real` clips.

    Writes `metrics`, and of some of its rows `ladder`. Of clips in memory are those of two methods, as they are stored.
    """
    settings: MetricsStageSettings = stage.settings
    samples = dict(zip(settings.methods, stage.inputs["samples"], strict=True))
    judged: dict[str, dict[str, np.ndarray]] = {name: {} for name in settings.methods}
    for table, columns in (("adherence", ADHERENCE), ("content", CONTENT)):
        for name, path in zip(settings.methods, stage.inputs.get(table, []), strict=False):
            read = read_table(path)
            judged[name] |= {column: read[column].to_numpy(float) for column in columns}
    costs = dict(zip(settings.methods, map(read_json, stage.inputs["costs"]), strict=True))
    compared = Reference(*(measured(_real_clips(stage.path(name))) for name in ("fit", "real")))
    exact = _clips(samples[settings.exact])
    figures = {}
    for name in stage.progress(settings.methods, "methods", unit="method"):
        clips = _clips(samples[name])
        own = measured(_each(clips))
        figures[name] = quality(own, distances(_each(clips), _each(exact)), judged[name], compared)
    rows = []
    for name, steps in zip(settings.methods, settings.steps, strict=True):
        indices = load_arrays(samples[name], ("indices",))["indices"]
        row = {"method": name, "steps": steps, "k": indices.shape[1], "n": len(indices)}
        rows.append(row | figures[name].row(figures[settings.reference]) | costs[name])
    write_csv(stage.outputs["metrics"], rows, COLUMNS)
    by_method = {row["method"]: row for row in rows}
    ladder = [{"row": name} | {column: by_method[name].get(column) for column in LADDER} for name in settings.ladder]
    write_csv(stage.outputs["ladder"], ladder, ("row", *LADDER))


def _real_clips(index: Path) -> Iterator[Tensor]:
    data = ShardDataset(index, ["latent"])
    return (data.view("latent", number).float() for number in range(len(data)))


def _clips(path: Path) -> np.ndarray:
    return load_arrays(path, ("refined",))["refined"]


def _each(clips: np.ndarray) -> Iterator[Tensor]:
    return (torch.from_numpy(z).float() for z in clips)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, MetricsStageSettings)
