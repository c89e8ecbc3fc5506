"""results/maze/budget.csv and its picture: what keyframes buy, by who chooses them and how many, beside planners without."""

import numpy as np

from interdiff.files import write_csv
from interdiff.learning import draws
from interdiff.maze.evaluation.budget import Way, plan_figures, spent_as, ways
from interdiff.maze.evaluation.contenders import our_planners, tracked
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.evaluation.settings import BudgetStageSettings
from interdiff.maze.figures.budget import budget_picture
from interdiff.maze.planner.masks import load_masks
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import STEPS, at_goal, d4rl_name, episodes, scores
from interdiff.tables import read_table
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "policy", "k", "mean_k", "layout", "seeds", "n", "mse", "mse_se", "crossed", "crossed_se", "score", "score_se", "nfe",
    "plan_ms",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads a `test` split of each planner, the masks of those that are varied and all networks; writes `budget` and its
    `picture`."""
    settings: BudgetStageSettings = stage.settings
    ours = our_planners(settings, stage.results, stage.device)
    rows = []
    for name, path in zip(settings.varied(), stage.inputs["masks_test"], strict=True):
        data, masks, maps = ours[name][0].prepared, load_masks(path), settings.maps[name]
        varied = ways(settings, settings.counts[name])
        spending = [(way, [spent_as(planner, way) for planner in ours[name]]) for way in varied]
        spending += [(Way(other, "", {}), ours[other]) for other in settings.beside[name]]
        work = [(layout, *spent) for layout in maps for spent in spending]
        for layout, way, seeds in stage.progress(work, name, unit="row"):
            chosen = data.first_rows(layout, settings.n_per_layout)
            part, part_masks = data.subset(chosen), masks.subset(chosen.numpy(force=True))
            figures = plan_figures(seeds, part, part_masks, [stage.generator(n) for n in range(len(seeds))])
            if not way.k:
                del figures["mean_k"]
            cell = {"policy": way.policy, "k": way.k, "layout": layout}
            rows.append(cell | figures | _score(stage, seeds, way, maps[layout], layout))
    write_csv(stage.outputs["budget"], rows, COLUMNS)
    budget_picture(read_table(stage.outputs["budget"]), stage.outputs["picture"])


def _score(stage: Stage, seeds: list[TimedPlanner], way: Way, drawn: str | None, name: str) -> dict[str, float]:
    """D4RL's score of the task multi, on its maps, of planners that need no ground truth."""
    layout = load_layout(drawn, name) if drawn else None
    known = d4rl_name(layout) if layout else None
    if layout is None or known is None or way.policy == "dp":
        return {}
    settings: BudgetStageSettings = stage.settings
    cases, rewards = episodes(layout, "multi", settings.episodes, stage.seed), []
    for planner in seeds:
        references = planner.plan(layout, cases.states, cases.goals, draws.generator_of(stage.seed))
        policies = tracked(references, settings.tracker)
        rewards.append(at_goal(roll(PointMaze(layout), cases, policies, STEPS[known]), cases.goals))
    figures = scores(np.stack(rewards), known)
    return {key: figures[key] for key in ("score", "score_se")}


if __name__ == "__main__":
    run_stage(main, BudgetStageSettings)
