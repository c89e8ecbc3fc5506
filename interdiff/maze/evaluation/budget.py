"""Quality against compute: the same networks with more or fewer keyframes, by who chooses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from interdiff.maze.evaluation.settings import BudgetSettings
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.kinds.loading import sampled_as
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.plans import function_evaluations, plan_milliseconds
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.collisions import crossed
from interdiff.maze.world.tasks import mean_and_error

AUTO = "auto"


@dataclass(frozen=True)
class Way:
    """A way to spend keyframes: who chooses them, how many, and what is changed in how a planner samples."""

    policy: str
    k: str
    changes: dict[str, object]


def ways(settings: BudgetSettings, counts: Sequence[int]) -> Iterator[Way]:
    """Each policy at each K of `counts`, and K as D_phi advises at each tolerance."""
    for policy in settings.policies:
        for k in counts:
            yield Way(policy, str(k), {"policy": policy, "k": k})
    for tolerance in settings.tolerances:
        changes = {"policy": "selector", "k": AUTO, "auto_counts": list(counts), "tolerance": tolerance}
        yield Way(AUTO, AUTO, changes)


def spent_as(planner: TimedPlanner, way: Way) -> TimedPlanner:
    """The same networks, sampled another way."""
    return replace(
        planner, planner=sampled_as(planner.planner, planner.planner.settings.model_copy(update=way.changes))
    )


def plan_figures(
    seeds: list[TimedPlanner], data: Prepared, masks: Masks, generators: list[torch.Generator]
) -> dict[str, float]:
    """mean_k, and mse and crossed with their standard errors over seeds and rows; nfe and plan_ms are the first seed's."""
    truth, walls = data.states[..., :2].numpy(force=True), data.occupancy[data.layout].numpy(force=True)
    counts, errors, crossings = [], [], []
    for planner, generator in zip(seeds, generators, strict=True):
        plans = planner.planner.plan_all(data, masks, generator)
        positions = plans.refined[..., :2].numpy(force=True)
        counts.append((plans.ranks == 0).sum(1).numpy(force=True))
        errors.append(np.square((positions - truth) * data.cells).sum(-1).mean(-1))
        crossings.append(crossed(positions, walls).astype(float))
    figures = {"mean_k": float(np.mean(counts)), "seeds": len(seeds), "n": len(truth)}
    for name, values in (("mse", errors), ("crossed", crossings)):
        figures[name], figures[f"{name}_se"] = mean_and_error(np.stack(values))
    first = seeds[0].planner, data, masks, generators[0]
    return figures | {"nfe": function_evaluations(*first), "plan_ms": plan_milliseconds(*first)}
