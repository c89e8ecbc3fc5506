"""One task and map of rollouts.csv: every planner drives the ball from the same starts to the same goals."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from interdiff.files import write_arrays, write_csv
from interdiff.maze.baselines.planners import load_baselines
from interdiff.maze.evaluation.contenders import (
    FEEDBACK,
    NO_COSTS,
    DrivenPlanner,
    costs,
    driven_fast,
    feedback_policies,
    our_planners,
    planned,
    searches,
    tracked,
)
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.evaluation.settings import DriveSettings
from interdiff.maze.evaluation.unseen import mean_figures, share_through_walls
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.layouts import Layout, load_layout
from interdiff.maze.world.packages.simulators import simulator
from interdiff.maze.world.simulator import Simulator
from interdiff.maze.world.tasks import STEPS, Episodes, at_goal, d4rl_name, episodes, scores
from interdiff.maze.world.tracker import Policy
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "planner", "task", "layout", "seed", "n", "return_mean", "score", "score_se", "success", "first_reach", "plan_ms",
    "token_evals", "params_m", "crossed", "seeds",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads our planners' `test` splits (for their sizes) and networks, and the baselines'; writes `scores` and `driven`.

    `driven` has the paths [P, E, steps, 2] of the drawn episodes by planner, their goals [E, 2] and map, and the first
    episode as it is planned alone and driven; all in joint coordinates.
    """
    settings: DriveSettings = stage.settings
    ours = our_planners(settings, stage.results, stage.device)
    baselines = load_baselines(settings.baselines, stage.folder, stage.device)
    layout = load_layout(settings.map, settings.layout)
    known, maze = d4rl_name(layout), simulator(settings.env, layout)
    steps = STEPS[known] if known else settings.steps
    scored = known if settings.env == "d4rl" else None
    cases = episodes(layout, settings.task, settings.episodes, stage.seed)
    shown = {settings.drawn.planner, *FEEDBACK, *(baseline.name for baseline in baselines)}
    rows, drawn = [], {}
    for name, seeds, cost in _contenders(stage, ours, baselines, layout, cases):
        positions = [roll(maze, cases, policies, steps) for policies in seeds]
        cell = {"planner": name, "task": settings.task, "layout": layout.name, "seed": stage.seed, "seeds": len(seeds)}
        rewards = np.stack([at_goal(driven, cases.goals, maze.goal_radius) for driven in positions])
        rows.append(cell | scores(rewards, scored) | cost)
        if name in shown:
            drawn[name] = positions[0][: settings.drawn.episodes].astype(np.float32)
    animated = ours[settings.drawn.planner][0]
    arrays = {
        "map": np.array(layout.ascii),
        "planners": np.array(list(drawn)),
        "goals": cases.goals[: settings.drawn.episodes],
        "positions": np.stack(list(drawn.values())),
    }
    write_arrays(stage.outputs["driven"], arrays | _one_plan(stage, animated, maze, layout, cases))
    write_csv(stage.outputs["scores"], rows, COLUMNS)


def _contenders(
    stage: Stage,
    ours: Mapping[str, Sequence[TimedPlanner]],
    baselines: Sequence[DrivenPlanner],
    layout: Layout,
    cases: Episodes,
) -> Iterator[tuple[str, list[list[Policy]], dict[str, float]]]:
    """Names, a policy per episode for each training seed, and what a plan costs.

    Further trackers are in the name; baselines' paths that are driven fast are `{baseline}_retimed`, without a time.
    """
    settings: DriveSettings = stage.settings
    for name, policies in feedback_policies(layout, cases, lambda: stage.rng(1)).items():
        yield name, [policies], NO_COSTS
    search: list[DrivenPlanner] = [*searches(ours[settings.drawn.planner])]
    work = [*([planner] for planner in search), *ours.values(), *([planner] for planner in baselines)]
    for seeds in stage.progress(work, "planners", unit="planner"):
        planner = seeds[0]
        plans = [planned(each, layout, cases, stage.generator(2)) for each in seeds]
        cost = mean_figures([figures for _, figures in plans]) | costs(planner, layout, cases, stage.generator(3))
        trackers = {planner.name: settings.tracker}
        trackers |= {f"{planner.name}/{name}": gains for name, gains in settings.other_trackers.items()}
        for name, gains in trackers.items():
            yield name, [tracked(references, gains) for references, _ in plans], cost
        if planner in baselines and settings.baselines_retiming:
            references, _ = plans[0]
            fast = driven_fast(references, layout, cases, settings.baselines_retiming)
            known = {key: value for key, value in cost.items() if key != "plan_ms"}
            known["crossed"] = share_through_walls(layout, fast)
            yield f"{planner.name}_retimed", [tracked(fast, settings.tracker)], known


def _one_plan(
    stage: Stage, planner: TimedPlanner, maze: Simulator, layout: Layout, cases: Episodes
) -> dict[str, np.ndarray]:
    """The first episode from keyframes [K, 2] over interpolated and refined paths [T, 2] to what was driven [steps, 2]."""
    first = Episodes(cases.states[:1], cases.goals[:1])
    (traced,) = planner.traced(layout, first.states, first.goals, stage.generator(4))
    policies = tracked([traced.reference], stage.settings.tracker)
    return {
        "keyframes": traced.keyframes,
        "interpolated": traced.interpolated,
        "refined": traced.refined,
        "driven": roll(maze, first, policies, len(traced.reference.positions) + 20)[0],
    }


if __name__ == "__main__":
    run_stage(main, DriveSettings)
