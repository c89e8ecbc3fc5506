"""results/maze/unseen.csv: plans in random mazes that no network was trained on, driven, by family of mazes."""

from collections import defaultdict

from interdiff.files import write_csv
from interdiff.maze.evaluation.contenders import (
    NO_COSTS,
    DrivenPlanner,
    ShortestPathPlanner,
    costs,
    feedback_policies,
    planned,
    tracked,
)
from interdiff.maze.evaluation.settings import UnseenStageSettings
from interdiff.maze.evaluation.unseen import Driven, drive, mean_figures, summary
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
    planners: list[DrivenPlanner] = [load_two_phase(stage.folder, data, settings.planner, settings.sampling, OURS)]
    if settings.planner.retiming:
        planners.insert(0, ShortestPathPlanner(data.frames, settings.planner.retiming))
    rows = []
    for family, maps in settings.families.items():
        mazes = [
            (layout, episodes(layout, "multi", settings.episodes, stage.seed + number))
            for number, layout in enumerate(random_layouts(maps, family))
        ]
        driven: dict[str, list[Driven]] = defaultdict(list)
        made: dict[str, list[dict[str, float]]] = defaultdict(list)
        for layout, cases in stage.progress(mazes, family, unit="maze"):
            policies = feedback_policies(layout, cases, lambda: stage.rng(1))
            for planner in planners:
                references, figures = planned(planner, layout, cases, stage.generator(2))
                made[planner.name].append(figures)
                policies |= tracked(references, {planner.name: settings.tracker})
            for name, each in policies.items():
                driven[name].append(drive(layout, cases, each, settings.steps))
        spent = {planner.name: costs(planner, *mazes[0], stage.generator(3)) for planner in planners}
        for name, own in driven.items():
            cell = {"planner": name, "family": family, "seed": stage.seed}
            rows.append(cell | summary(own) | mean_figures(made[name]) | spent.get(name, NO_COSTS))
    write_csv(stage.outputs["unseen"], rows, COLUMNS)


if __name__ == "__main__":
    run_stage(main, UnseenStageSettings)
