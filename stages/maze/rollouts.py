"""results/maze/rollouts.csv: every planner drives the ball from the same starts to the same goals."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from interdiff.files import write_arrays, write_csv
from interdiff.maze.data import load_prepared
from interdiff.maze.layouts import Layout, load_layout
from interdiff.maze.peers import load_peers
from interdiff.maze.phase1 import load_phase1
from interdiff.maze.plans import Planner
from interdiff.maze.refiner import load_refiner
from interdiff.maze.rollouts import (
    STEPS,
    Episodes,
    Policy,
    at_goal,
    controller_policy,
    episodes,
    roll,
    scores,
    shortest_path_policy,
    tracker,
)
from interdiff.maze.settings import RolloutsSettings
from interdiff.maze.two_phase import TwoPhasePlanner
from interdiff.timing import median_milliseconds
from stages.runner import Stage, run_stage

COLUMNS = (
    "planner", "task", "layout", "seed", "n", "return_mean", "score", "score_se", "success", "first_reach", "plan_ms",
    "token_evals", "params_m",
)  # fmt: skip
FEEDBACK = {"shortest_path": shortest_path_policy, "controller": controller_policy}


def main(stage: Stage) -> None:
    """Reads the `test` split for its sizes, our planners' networks and the peers'; writes `rollouts`, `driven`, `plan`."""
    settings: RolloutsSettings = stage.settings
    ours = list(_ours(stage))
    planners = [*ours, *load_peers(settings.peers, stage.folder, stage.device)]
    cells = [(task, load_layout(name)) for task, names in settings.tasks.items() for name in names]
    rows, drawn = [], {}
    for task, layout in stage.progress(cells, "episodes", unit="cell"):
        cases = episodes(layout, task, settings.episodes, stage.seed)
        for name, policies, costs in [*_feedback(stage, layout, cases), *_tracked(stage, planners, layout, cases)]:
            positions = roll(layout, cases, policies, STEPS[layout.name])
            cell = {"planner": name, "task": task, "layout": layout.name, "seed": stage.seed}
            rows.append(cell | scores(at_goal(positions, cases.goals), layout.name) | costs)
            if task == settings.drawn.task and _is_drawn(name, settings):
                drawn[name, layout.name] = positions[: settings.drawn.episodes].astype(np.float32)
    write_arrays(stage.outputs["driven"], _driven(stage, drawn))
    (animated,) = (planner for planner in ours if planner.name == settings.drawn.planner)
    write_arrays(stage.outputs["plan"], _plan(stage, animated))
    write_csv(stage.outputs["rollouts"], rows, COLUMNS)


def _ours(stage: Stage) -> Iterator[TwoPhasePlanner]:
    data = load_prepared(stage.path("test"), stage.device)
    weights = {
        name: [path.parent for path in stage.inputs[name] if path.suffix == ".safetensors"]
        for name in ("segment_cost", "selector", "keypoints", "refiner")
    }
    for number, (name, settings) in enumerate(sorted(stage.settings.planners.items())):
        folders = {stage_name: paths[number] for stage_name, paths in weights.items()}
        phase1, refiner = load_phase1(folders.__getitem__, data), load_refiner(folders["refiner"], data)
        yield TwoPhasePlanner(Planner(phase1, refiner, stage.settings.sampling[name]), data, settings, name)


def _feedback(stage: Stage, layout: Layout, cases: Episodes) -> Iterator[tuple[str, list[Policy], dict[str, Any]]]:
    """Policies that see the map and the state at every step: they make no plan to time."""
    for name, policy in FEEDBACK.items():
        rng = stage.rng(1)
        policies = [policy(layout, state, goal, rng) for state, goal in zip(cases.states, cases.goals, strict=True)]
        yield name, policies, {"token_evals": 0, "params_m": 0.0}


def _tracked(
    stage: Stage, planners: list[Any], layout: Layout, cases: Episodes
) -> Iterator[tuple[str, list[Policy], dict[str, Any]]]:
    """Plans made once and followed by each tracker; further ones are in the planner's name."""
    for planner in planners:
        references = planner.plan(layout, cases.states, cases.goals, stage.generator(2))
        costs = {
            "plan_ms": _plan_milliseconds(planner.plan, layout, cases, stage.generator(3)),
            "token_evals": planner.evaluations(layout),
            "params_m": planner.parameters / 1e6,
        }
        others = {f"{planner.name}/{name}": gains for name, gains in stage.settings.other_trackers.items()}
        for name, gains in ({planner.name: stage.settings.tracker} | others).items():
            yield name, [tracker(reference, gains) for reference in references], costs


def _plan_milliseconds(plan: Callable, layout: Layout, cases: Episodes, generator: torch.Generator) -> float:
    """Median wall time of a plan at batch 1."""
    count = len(cases.states)

    def one(n: int) -> object:
        return plan(layout, cases.states[n % count, None], cases.goals[n % count, None], generator)

    return median_milliseconds(one)


def _is_drawn(name: str, settings: RolloutsSettings) -> bool:
    """Whether a planner is in the pictures: one of ours, the others once each."""
    return name == settings.drawn.planner or (name not in settings.planners and "/" not in name)


def _driven(stage: Stage, drawn: dict[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
    """Paths [P, L, E, steps, 2] of the drawn episodes, NaN past their end, with their goals [L, E, 2] and maps [L]."""
    settings: RolloutsSettings = stage.settings
    layouts = [load_layout(name) for name in settings.tasks[settings.drawn.task]]
    cases = [episodes(layout, settings.drawn.task, settings.episodes, stage.seed) for layout in layouts]
    planners = list(dict.fromkeys(name for name, _ in drawn))
    steps = max(path.shape[1] for path in drawn.values())
    positions = np.full((len(planners), len(layouts), settings.drawn.episodes, steps, 2), np.nan, np.float32)
    for (name, layout_name), path in drawn.items():
        row = [layout.name for layout in layouts].index(layout_name)
        positions[planners.index(name), row, :, : path.shape[1]] = path
    return {
        "planners": np.array(planners),
        "maps": np.array([layout.ascii for layout in layouts]),
        "goals": np.stack([case.goals[: settings.drawn.episodes] for case in cases]),
        "positions": positions,
    }


def _plan(stage: Stage, planner: TwoPhasePlanner) -> dict[str, np.ndarray]:
    """The first drawn episode of the last layout, planned alone and driven, in joint coordinates."""
    settings: RolloutsSettings = stage.settings
    layout = load_layout(settings.tasks[settings.drawn.task][-1])
    cases = episodes(layout, settings.drawn.task, 1, stage.seed)
    (traced,) = planner.traced(layout, cases.states, cases.goals, stage.generator(4))
    policies = [tracker(traced.reference, settings.tracker)]
    return {
        "map": np.array(layout.ascii),
        "goal": cases.goals[0],
        "keypoints": traced.keypoints,
        "interpolated": traced.interpolated,
        "refined": traced.refined,
        "driven": roll(layout, cases, policies, len(traced.reference.positions) + 20)[0],
    }


if __name__ == "__main__":
    run_stage(main, RolloutsSettings)
