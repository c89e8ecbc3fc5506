"""Methods beside each other on the same prompts and noise: what the stages of metrics.csv and attention.csv share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdiff.files import load_arrays, read_json
from interdiff.keyframes.budget import mean_count
from interdiff.tables import read_table
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.comparison import ADHERENCE, CONTENT, Reference, distances, measured, quality
from interdiff.workflow.stage import Stage

FIGURES = ("frechet", *ADHERENCE, *CONTENT, "smoothness", "sharpness", "distance")
DIVERSITY = "diversity"
"""Root mean squared difference of two clips that a method makes of one prompt and different noise."""
ERRORS = tuple(f"{name}{kind}" for kind in ("_se", "_vs_reference", "_vs_reference_se") for name in FIGURES)


def compared(
    stage: Stage, methods: Sequence[str], exact: Path, reference: str, other_noise: Mapping[str, Path] | None = None
) -> dict[str, dict[str, Any]]:
    """Quality and costs of each method: `samples`, `costs` and, where there are such, `adherence` and `content` of each in
    their order, beside indices of `fit` and `real` clips, the samples `exact`, and one of the methods.

    Methods that have samples of other noise also have a diversity.

    Of clips in memory are those of two methods, as they are stored.
    """
    samples = dict(zip(methods, stage.inputs["samples"], strict=True))
    judged: dict[str, dict[str, np.ndarray]] = {name: {} for name in methods}
    for table, columns in (("adherence", ADHERENCE), ("content", CONTENT)):
        for name, path in zip(methods, stage.inputs.get(table, []), strict=False):
            read = read_table(path)
            judged[name] |= {column: read[column].to_numpy(float) for column in columns}
    costs = dict(zip(methods, map(read_json, stage.inputs["costs"]), strict=True))
    real = Reference(*(measured(_real_clips(stage.path(name))) for name in ("fit", "real")))
    best = _clips(exact)
    figures = {}
    for name in stage.progress(methods, "methods", unit="method"):
        clips = _clips(samples[name])
        own = measured(_each(clips))
        if other_noise and name in other_noise:
            judged[name][DIVERSITY] = distances(_each(clips), _each(_clips(other_noise[name])))
        figures[name] = quality(own, distances(_each(clips), _each(best)), judged[name], real)
    chosen = {name: load_arrays(path, ("indices",))["indices"] for name, path in samples.items()}
    return {
        name: {"n": len(chosen[name]), "k": mean_count(chosen[name])}
        | figures[name].row(figures[reference])
        | costs[name]
        for name in methods
    }


def _real_clips(index: Path) -> Iterator[Tensor]:
    data = ShardDataset(index, ["latent"])
    return (data.view("latent", number).float() for number in range(len(data)))


def _clips(path: Path) -> np.ndarray:
    return load_arrays(path, ("refined",))["refined"]


def _each(clips: np.ndarray) -> Iterator[Tensor]:
    return (torch.from_numpy(z).float() for z in clips)
