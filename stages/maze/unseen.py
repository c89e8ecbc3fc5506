"""results/maze/unseen.csv: plans in random mazes that no network was trained on, driven, by family of mazes."""

import numpy as np

from interdiff.files import write_csv
from interdiff.maze.evaluation.contenders import NO_COSTS, ShortestPathPlanner, costs, feedback_policies, tracked
from interdiff.maze.evaluation.settings import UnseenStageSettings
from interdiff.maze.evaluation.unseen import drive, share_through_walls, summary
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.timed_planner import load_two_phase
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.tasks import episodes
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

OURS = "two_phase"
COLUMNS = (
    "planner", "family", "seed", "mazes", "n", "success", "success_se", "first_reach", "crossed", "plan_ms",
    "token_evals", "params_m",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads the `test` split for its sizes, and all networks; writes `unseen`."""
    settings: UnseenStageSettings = stage.settings
    data = load_prepared(stage.path("test"), stage.device)
    planner = load_two_phase(stage.folder, data, settings.planner, settings.sampling, OURS)
    rows = []
    for family, maps in settings.families.items():
        cells = [
            (layout, episodes(layout, "multi", settings.episodes, stage.seed + number))
            for number, layout in enumerate(random_layouts(maps, family))
        ]
        driven, crossed = [], []
        for layout, cases in stage.progress(cells, family, unit="maze"):
            references = planner.plan(layout, cases.states, cases.goals, stage.generator(2))
            crossed.append(share_through_walls(layout, references))
            policies = feedback_policies(layout, cases, lambda: stage.rng(1))
            if settings.planner.retiming:
                search = ShortestPathPlanner(data.frames, settings.planner.retiming)
                planned = search.plan(layout, cases.states, cases.goals, stage.generator(2))
                policies |= tracked(planned, {search.name: settings.tracker})
            policies |= tracked(references, {OURS: settings.tracker})
            driven.append({name: drive(layout, cases, own, settings.steps) for name, own in policies.items()})
        ours = {"crossed": float(np.mean(crossed))} | costs(planner, *cells[0], stage.generator(3))
        for name in driven[0]:
            figures = summary([maze[name] for maze in driven]) | (ours if name == OURS else NO_COSTS)
            rows.append({"planner": name, "family": family, "seed": stage.seed} | figures)
    write_csv(stage.outputs["unseen"], rows, COLUMNS)


if __name__ == "__main__":
    run_stage(main, UnseenStageSettings)
