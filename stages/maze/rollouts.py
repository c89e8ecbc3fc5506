"""results/maze/rollouts.csv: every planner drives the ball from the same starts to the same goals."""

from collections.abc import Iterator, Sequence

import numpy as np

from interdiff.files import write_arrays, write_csv
from interdiff.maze.contenders import FEEDBACK, NO_COSTS, DrivenPlanner, costs, driven_fast, feedback_policies, tracked
from interdiff.maze.data import load_prepared
from interdiff.maze.layouts import Layout, load_layout
from interdiff.maze.peers import load_peers
from interdiff.maze.rollouts import STEPS, Episodes, Policy, at_goal, episodes, roll, scores, tracker
from interdiff.maze.settings import RolloutsSettings
from interdiff.maze.two_phase import TwoPhasePlanner, load_two_phase
from stages.runner import Stage, run_stage

COLUMNS = (
    "planner", "task", "layout", "seed", "n", "return_mean", "score", "score_se", "success", "first_reach", "plan_ms",
    "token_evals", "params_m",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads our planners' `test` splits (for their sizes) and networks, and the peers'; writes `rollouts`, `driven`, `plan`."""
    settings: RolloutsSettings = stage.settings
    ours = list(_ours(stage))
    peers = load_peers(settings.peers, stage.folder, stage.device)
    shown = {settings.drawn.planner, *FEEDBACK, *(peer.name for peer in peers)}
    cells = [(task, load_layout(name)) for task, names in settings.tasks.items() for name in names]
    rows, drawn = [], {}
    for task, layout in stage.progress(cells, "episodes", unit="cell"):
        cases = episodes(layout, task, settings.episodes, stage.seed)
        for name, policies, cost in _contenders(stage, ours, peers, layout, cases):
            positions = roll(layout, cases, policies, STEPS[layout.name])
            cell = {"planner": name, "task": task, "layout": layout.name, "seed": stage.seed}
            rows.append(cell | scores(at_goal(positions, cases.goals), layout.name) | cost)
            if task == settings.drawn.task and name in shown:
                drawn[name, layout.name] = positions[: settings.drawn.episodes].astype(np.float32)
    write_arrays(stage.outputs["driven"], _driven(stage, drawn))
    (animated,) = (planner for planner in ours if planner.name == settings.drawn.planner)
    write_arrays(stage.outputs["plan"], _plan(stage, animated))
    write_csv(stage.outputs["rollouts"], rows, COLUMNS)


def _ours(stage: Stage) -> Iterator[TwoPhasePlanner]:
    weights = {
        name: [path.parent for path in stage.inputs[name] if path.suffix == ".safetensors"]
        for name in ("segment_cost", "selector", "keypoints", "refiner")
    }
    prepared = {path: load_prepared(path, stage.device) for path in dict.fromkeys(stage.inputs["test"])}
    for number, (name, settings) in enumerate(sorted(stage.settings.planners.items())):
        folders = {stage_name: paths[number] for stage_name, paths in weights.items()}
        data = prepared[stage.inputs["test"][number]]
        yield load_two_phase(folders.__getitem__, data, settings, stage.settings.sampling[name], name)


def _contenders(
    stage: Stage, ours: Sequence[DrivenPlanner], peers: Sequence[DrivenPlanner], layout: Layout, cases: Episodes
) -> Iterator[tuple[str, list[Policy], dict[str, float]]]:
    """Names, a policy per episode, and what a plan costs.

    Further trackers are in the name; peers' paths that are driven fast are `{peer}_retimed`, whose time nobody measured.
    """
    settings: RolloutsSettings = stage.settings
    for name, policies in feedback_policies(layout, cases, lambda: stage.rng(1)).items():
        yield name, policies, NO_COSTS
    for planner in [*ours, *peers]:
        references = planner.plan(layout, cases.states, cases.goals, stage.generator(2))
        cost = costs(planner, layout, cases, stage.generator(3))
        others = {f"{planner.name}/{name}": gains for name, gains in settings.other_trackers.items()}
        for name, policies in tracked(references, {planner.name: settings.tracker} | others).items():
            yield name, policies, cost
        if planner in peers and settings.peers_retiming:
            fast = driven_fast(references, layout, cases, settings.peers_retiming)
            known = {key: value for key, value in cost.items() if key != "plan_ms"}
            yield f"{planner.name}_retimed", [tracker(reference, settings.tracker) for reference in fast], known


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
