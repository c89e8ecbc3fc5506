"""One task and map of rollouts.csv: every planner drives the ball from the same starts to the same goals."""

from collections.abc import Iterator, Sequence

import numpy as np

from interdiff.files import write_arrays, write_csv
from interdiff.maze.baselines.planners import load_baselines
from interdiff.maze.evaluation.contenders import (
    FEEDBACK,
    NO_COSTS,
    DrivenPlanner,
    ShortestPathPlanner,
    costs,
    driven_fast,
    feedback_policies,
    planned,
    tracked,
)
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.evaluation.settings import DriveSettings
from interdiff.maze.evaluation.unseen import share_through_walls
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.timed_planner import TwoPhasePlanner, load_two_phase
from interdiff.maze.world.layouts import Layout, load_layout
from interdiff.maze.world.tasks import STEPS, Episodes, at_goal, d4rl_name, episodes, scores
from interdiff.maze.world.tracker import Policy, tracker
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "planner", "task", "layout", "seed", "n", "return_mean", "score", "score_se", "success", "first_reach", "plan_ms",
    "token_evals", "params_m", "crossed",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads our planners' `test` splits (for their sizes) and networks, and the baselines'; writes `scores` and `driven`.

    `driven` has the paths [P, E, steps, 2] of the drawn episodes by planner, their goals [E, 2] and map, and the first
    episode as it is planned alone and driven; all in joint coordinates.
    """
    settings: DriveSettings = stage.settings
    ours = list(_ours(stage))
    baselines = load_baselines(settings.baselines, stage.folder, stage.device)
    layout = load_layout(settings.map, settings.layout)
    known = d4rl_name(layout)
    steps = STEPS[known] if known else settings.steps
    cases = episodes(layout, settings.task, settings.episodes, stage.seed)
    shown = {settings.drawn.planner, *FEEDBACK, *(baseline.name for baseline in baselines)}
    rows, drawn = [], {}
    for name, policies, cost in _contenders(stage, ours, baselines, layout, cases):
        positions = roll(layout, cases, policies, steps)
        cell = {"planner": name, "task": settings.task, "layout": layout.name, "seed": stage.seed}
        rows.append(cell | scores(at_goal(positions, cases.goals), known) | cost)
        if name in shown:
            drawn[name] = positions[: settings.drawn.episodes].astype(np.float32)
    (animated,) = (planner for planner in ours if planner.name == settings.drawn.planner)
    arrays = {
        "map": np.array(layout.ascii),
        "planners": np.array(list(drawn)),
        "goals": cases.goals[: settings.drawn.episodes],
        "positions": np.stack(list(drawn.values())),
    }
    write_arrays(stage.outputs["driven"], arrays | _one_plan(stage, animated, layout, cases))
    write_csv(stage.outputs["scores"], rows, COLUMNS)


def _ours(stage: Stage) -> Iterator[TwoPhasePlanner]:
    weights = {
        name: [path.parent for path in stage.inputs[name] if path.suffix == ".safetensors"]
        for name in ("segment_cost", "selector", "keyframes", "refiner")
    }
    prepared = {path: load_prepared(path, stage.device) for path in dict.fromkeys(stage.inputs["test"])}
    for number, (name, settings) in enumerate(sorted(stage.settings.planners.items())):
        folders = {stage_name: paths[number] for stage_name, paths in weights.items()}
        data = prepared[stage.inputs["test"][number]]
        yield load_two_phase(folders.__getitem__, data, settings, stage.settings.sampling[name], name)


def _search(stage: Stage, ours: Sequence[TwoPhasePlanner]) -> Iterator[ShortestPathPlanner]:
    """The search's path, retimed as the planner in the pictures does, if it does."""
    for planner in ours:
        if planner.name == stage.settings.drawn.planner and planner.settings.retiming:
            yield ShortestPathPlanner(planner.prepared.frames, planner.settings.retiming)


def _contenders(
    stage: Stage, ours: Sequence[TwoPhasePlanner], baselines: Sequence[DrivenPlanner], layout: Layout, cases: Episodes
) -> Iterator[tuple[str, list[Policy], dict[str, float]]]:
    """Names, a policy per episode, and what a plan costs.

    Further trackers are in the name; baselines' paths that are driven fast are `{baseline}_retimed`, without a time.
    """
    settings: DriveSettings = stage.settings
    for name, policies in feedback_policies(layout, cases, lambda: stage.rng(1)).items():
        yield name, policies, NO_COSTS
    for planner in stage.progress([*_search(stage, ours), *ours, *baselines], "planners", unit="planner"):
        references, cost = planned(planner, layout, cases, stage.generator(2))
        cost |= costs(planner, layout, cases, stage.generator(3))
        others = {f"{planner.name}/{name}": gains for name, gains in settings.other_trackers.items()}
        for name, policies in tracked(references, {planner.name: settings.tracker} | others).items():
            yield name, policies, cost
        if planner in baselines and settings.baselines_retiming:
            fast = driven_fast(references, layout, cases, settings.baselines_retiming)
            known = {key: value for key, value in cost.items() if key != "plan_ms"}
            known["crossed"] = share_through_walls(layout, fast)
            yield f"{planner.name}_retimed", [tracker(reference, settings.tracker) for reference in fast], known


def _one_plan(stage: Stage, planner: TwoPhasePlanner, layout: Layout, cases: Episodes) -> dict[str, np.ndarray]:
    """The first episode from keyframes [K, 2] over interpolated and refined paths [T, 2] to what was driven [steps, 2]."""
    first = Episodes(cases.states[:1], cases.goals[:1])
    (traced,) = planner.traced(layout, first.states, first.goals, stage.generator(4))
    policies = [tracker(traced.reference, stage.settings.tracker)]
    return {
        "keyframes": traced.keyframes,
        "interpolated": traced.interpolated,
        "refined": traced.refined,
        "driven": roll(layout, first, policies, len(traced.reference.positions) + 20)[0],
    }


if __name__ == "__main__":
    run_stage(main, DriveSettings)
