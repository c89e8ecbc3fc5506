"""How often the shipped planner arrives in random mazes that it was not trained on, by their sides.

python -m benchmarks.shipped_planner [MAZES]
"""

import sys

import numpy as np
import torch

from interdiff.maze import load_planner
from interdiff.maze.evaluation.contenders import tracked
from interdiff.maze.evaluation.unseen import drive, share_through_walls, summary
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.settings import RandomMapsSettings, TrackerSettings
from interdiff.maze.world.tasks import episodes

SIDES = ((5, 8), (9, 12), (13, 14), (15, 16))
EPISODES, STEPS, SEED = 5, 1500, 2000


def main(mazes: int) -> None:
    """Print success with its standard error over mazes, and the share of plans that leave free space."""
    planner = load_planner().two_phase
    print("sides    mazes  success          crossed  steps to the goal")
    for number, sides in enumerate(SIDES):
        family = RandomMapsSettings(count=mazes, sides=sides, grid=16, seed=SEED + number)
        driven, crossed = [], []
        for index, layout in enumerate(random_layouts(family, "random")):
            cases = episodes(layout, "multi", EPISODES, SEED + index)
            plans = planner.plan(layout, cases.states, cases.goals, torch.Generator().manual_seed(SEED))
            crossed.append(share_through_walls(layout, plans))
            policies = tracked(plans, TrackerSettings())
            driven.append([drive(layout, cases, policies, STEPS)])
        figures = summary(driven)
        print(
            f"{sides[0]:2d} to {sides[1]:2d}  {mazes:5d}  {figures['success']:.3f} ± {figures['success_se']:.3f}"
            f"    {np.mean(crossed):.3f}    {figures['first_reach']:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
