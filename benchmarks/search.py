"""D4RL's score of the search's path, planned once and driven as our plans are, beside a chase that sees every step.

python -m benchmarks.search [EPISODES]

The rows `shortest_path_planned` and `shortest_path_chase` of rollouts.csv, from the same starts to the same goals, with the
default configuration's retiming and tracker; they need no trained network.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import yaml

from interdiff.maze.evaluation.contenders import ShortestPathPlanner, feedback_policies, tracked
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import STEPS, at_goal, episodes, scores
from interdiff.workflow.config import load_config


def main(count: int | None) -> None:
    """Print score with its standard error, and success, of both for every task and map."""
    maze = load_config(yaml.safe_load(Path("config.yaml").read_text())).maze
    settings = maze.report.rollouts
    retiming = settings.planners[settings.drawn.planner].retiming
    assert retiming is not None
    search = ShortestPathPlanner(maze.base.data.frames, retiming)
    for task, layouts in settings.tasks.items():
        for layout in map(load_layout, layouts):
            cases = episodes(layout, task, count or settings.episodes, settings.seed)
            plans = search.plan(layout, cases.states, cases.goals, torch.Generator())
            policies = {search.name: tracked(plans, settings.tracker)}
            policies |= feedback_policies(layout, cases, lambda: np.random.default_rng([settings.seed, 1]))
            for name in ("shortest_path_planned", "shortest_path_chase"):
                reached = at_goal(roll(PointMaze(layout), cases, policies[name], STEPS[layout.name]), cases.goals)
                row = scores(reached[None], layout.name)
                print(
                    f"{task:8s} {layout.name:12s} {name:22s} {row['score']:6.1f} ± {row['score_se']:.1f}"
                    f"  success {row['success']:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
