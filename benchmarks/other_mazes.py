"""The shipped planner in the mazes of other packages: gymnasium-robotics' PointMaze beside ours, and OGBench's giant.

python -m benchmarks.other_mazes pointmaze|giant [EPISODES]

Needs the extras pointmaze and ogbench. Beside each row is the search's path, driven alike, which needs no network.
"""

import sys
from dataclasses import replace

import numpy as np
import torch

from interdiff.maze import load_planner
from interdiff.maze.evaluation.contenders import DrivenPlanner, planned, searches, tracked
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.packages.simulators import OGBenchPointMaze, simulator
from interdiff.maze.world.settings import TrackerSettings
from interdiff.maze.world.tasks import STEPS, Episodes, at_goal, episodes, mean_and_error, scores

SEED = 3000
MAP = "large"
NOISE = 0.25
"""Of OGBench's starts and goals, in cells, per axis."""
PURSUIT = TrackerSettings(p_gain=20.0, d_gain=0.0, feed_forward=False)
"""OGBench's point moves by 0.05 cells per action and step, as far as a row of a plan at full speed."""
BALL = 0.2
"""Clearance for OGBench's ball, whose radius is 0.175 cells."""
OGBENCH_STEPS = 1000


def contenders(planner: TimedPlanner) -> list[DrivenPlanner]:
    """The planner, and the search retimed alike."""
    return [planner, *searches([planner])]


def pointmaze(planner: TimedPlanner, count: int) -> None:
    """The same episodes in both simulators, with both packages' radii of a goal."""
    layout, steps = load_layout(MAP), STEPS[MAP]
    cases = episodes(layout, "multi", count, SEED)
    print(f"{MAP}, random goals, {count} episodes: success, first step at the goal, steps there; D4RL's score at 0.5")
    for contender in contenders(planner):
        references, _ = planned(contender, layout, cases, torch.Generator().manual_seed(SEED))
        for env in ("d4rl", "pointmaze"):
            driven = roll(simulator(env, layout), cases, tracked(references, TrackerSettings()), steps)
            for radius in (0.5, 0.45):
                row = scores(at_goal(driven, cases.goals, radius)[None], MAP)
                print(
                    f"  {contender.name:22s} {env:10s} radius {radius:4.2f}  {row['success']:.3f}"
                    f"  {row['first_reach']:6.1f}  {row['return_mean']:6.1f}  {row['score']:.1f} ± {row['score_se']:.1f}",
                    flush=True,
                )


def giant(planner: TimedPlanner, count: int) -> None:
    """OGBench's five tasks by its own success: within a quarter of a cell of the goal in at most 1,000 steps."""
    maze, rng = OGBenchPointMaze("giant"), np.random.default_rng(SEED)
    retiming = planner.settings.retiming
    assert retiming is not None
    wide = planner.settings.model_copy(update={"retiming": retiming.model_copy(update={"clearance": BALL})})
    tasks = [
        Episodes(
            np.concatenate([start + rng.uniform(-NOISE, NOISE, (count, 2)), np.zeros((count, 2))], axis=1),
            goal + rng.uniform(-NOISE, NOISE, (count, 2)),
        )
        for start, goal in maze.tasks()
    ]
    print(
        f"OGBench's pointmaze-giant, {count} episodes of each of its tasks: success by task, in all, median first step"
    )
    for contender in contenders(replace(planner, settings=wide)):
        reached = []
        for cases in tasks:
            references, _ = planned(contender, maze.layout, cases, torch.Generator().manual_seed(SEED))
            driven = roll(maze, cases, tracked(references, PURSUIT), OGBENCH_STEPS)
            reached.append(at_goal(driven, cases.goals, maze.goal_radius))
        success = np.stack([task.any(1) for task in reached]).astype(float)
        mean, error = mean_and_error(success.reshape(1, -1))
        first = np.median(np.concatenate([task.argmax(1)[task.any(1)] for task in reached]))
        each = " ".join(f"{task.mean():.2f}" for task in success)
        print(f"  {contender.name:22s} {each}   {mean:.3f} ± {error:.3f}   {first:.0f}", flush=True)


PARTS = {"pointmaze": (pointmaze, 200), "giant": (giant, 20)}
"""Tables by name, and how many episodes they have (of each task)."""


def main(part: str, count: int | None = None) -> None:
    """Print a table."""
    table, episodes_of_each = PARTS[part]
    table(load_planner().two_phase, count or episodes_of_each)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
