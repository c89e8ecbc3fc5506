"""results/maze/unseen.csv: plans in random mazes that no network was trained on, driven, by family of mazes."""

from collections import defaultdict
from collections.abc import Sequence

from interdiff.files import write_csv
from interdiff.maze.evaluation.contenders import (
    NO_COSTS,
    DrivenPlanner,
    costs,
    feedback_policies,
    our_planners,
    planned,
    searches,
    tracked,
)
from interdiff.maze.evaluation.settings import UnseenStageSettings
from interdiff.maze.evaluation.unseen import Driven, drive, mean_figures, summary
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.tasks import episodes
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "planner", "family", "seed", "mazes", "n", "success", "success_se", "first_reach", "crossed", "plan_ms",
    "token_evals", "params_m", "seeds",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `test` splits for their sizes, and all networks; writes `unseen`."""
    settings: UnseenStageSettings = stage.settings
    ours = our_planners(settings, stage.results, stage.device)
    rows = []
    for family, names in settings.driven().items():
        own = [ours[name] for name in names]
        planners: list[Sequence[DrivenPlanner]] = [*([search] for search in searches(own[0])), *own]
        mazes = [
            (layout, episodes(layout, "multi", settings.episodes, stage.seed + number))
            for number, layout in enumerate(random_layouts(settings.families[family], family))
        ]
        driven: dict[str, list[list[Driven]]] = defaultdict(list)
        made: dict[str, list[dict[str, float]]] = defaultdict(list)
        for layout, cases in stage.progress(mazes, family, unit="maze"):
            for name, policies in feedback_policies(layout, cases, lambda: stage.rng(1)).items():
                driven[name].append([drive(layout, cases, policies, settings.steps)])
            for seeds in planners:
                plans = [planned(planner, layout, cases, stage.generator(2)) for planner in seeds]
                name = seeds[0].name
                made[name].append(mean_figures([figures for _, figures in plans]))
                followed = [tracked(references, settings.tracker) for references, _ in plans]
                driven[name].append([drive(layout, cases, each, settings.steps) for each in followed])
        spent = {seeds[0].name: costs(seeds[0], *mazes[0], stage.generator(3)) for seeds in planners}
        for name, rolled in driven.items():
            cell = {"planner": name, "family": family, "seed": stage.seed, "seeds": len(rolled[0])}
            rows.append(cell | summary(rolled) | mean_figures(made[name]) | spent.get(name, NO_COSTS))
    write_csv(stage.outputs["unseen"], rows, COLUMNS)


if __name__ == "__main__":
    run_stage(main, UnseenStageSettings)
