"""results/maze/rollouts.csv: every planner drives the ball from the same starts to the same goals."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from interdiff.config import RolloutsSettings
from interdiff.files import write_csv
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
    controller_policy,
    episodes,
    roll,
    scores,
    shortest_path_policy,
    tracker,
)
from interdiff.maze.two_phase import TwoPhasePlanner
from stages.runner import Stage, run_stage

COLUMNS = (
    "planner", "task", "layout", "seed", "n", "return_mean", "score", "score_se", "success", "first_reach", "plan_ms",
    "token_evals", "params_m",
)  # fmt: skip
FEEDBACK = {"shortest_path": shortest_path_policy, "controller": controller_policy}
TIMED = 20


def main(stage: Stage) -> None:
    """Reads the `test` split for its sizes, our planners' networks and the peers'; writes `rollouts`."""
    settings: RolloutsSettings = stage.settings
    planners = [*_ours(stage), *load_peers(settings.peers, stage.folder, stage.device)]
    cells = [(task, load_layout(name)) for task, names in settings.tasks.items() for name in names]
    rows = []
    for task, layout in stage.progress(cells, "episodes", unit="cell"):
        cases = episodes(layout, task, settings.episodes, stage.seed)
        for name, policies, costs in [*_feedback(stage, layout, cases), *_tracked(stage, planners, layout, cases)]:
            rewards = roll(layout, cases, policies, STEPS[layout.name])
            cell = {"planner": name, "task": task, "layout": layout.name, "seed": stage.seed}
            rows.append(cell | scores(rewards, layout.name) | costs)
    write_csv(stage.outputs["rollouts"], rows, COLUMNS)


def _ours(stage: Stage) -> Iterator[TwoPhasePlanner]:
    data = load_prepared(stage.inputs["test"], stage.device)
    weights = {
        name: [path.parent for path in stage.paths(name) if path.suffix == ".safetensors"]
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
    """Median wall time of a plan at batch 1, after one to warm up."""
    times = []
    for n in range(min(TIMED, len(cases.states)) + 1):
        row = slice(max(0, n - 1), max(1, n))
        started = time.perf_counter()
        plan(layout, cases.states[row], cases.goals[row], generator)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[1:]))


if __name__ == "__main__":
    run_stage(main, RolloutsSettings)
