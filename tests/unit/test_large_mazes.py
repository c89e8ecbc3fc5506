"""Mazes whose ways have more turns than keyframes."""

from pathlib import Path

import numpy as np
import torch
import yaml

from interdiff.maze.planner.conditions import condition_of, route_steps
from interdiff.maze.planner.networks import Waypoints
from interdiff.maze.world.layouts import OFFSET, far, load_layout, parse_layout
from interdiff.maze.world.paths import shortest_path
from interdiff.workflow.config import load_config

SIDE = 32


def snake():
    """One corridor of 479 steps in 32 x 32 cells."""
    rows = ["#" * SIDE]
    for row in range(1, SIDE - 1):
        gap = "O" + "#" * (SIDE - 3) if row % 4 == 0 else "#" * (SIDE - 3) + "O"
        rows.append("#" + ("O" * (SIDE - 2) if row % 2 else gap) + "#")
    return parse_layout("snake", "\n".join([*rows, "#" * SIDE]))


def ends(layout):
    first, last = layout.free_cells[0], layout.free_cells[-1]
    return np.array([[*first, 0.0, 0.0]]) - [0.2, 0.2, 0, 0], np.array([last]) - 0.2


def test_ways_of_more_than_255_steps_are_known_and_found_on_the_map():
    layout = snake()
    state, goal = ends(layout)
    condition = condition_of(layout, state, goal, SIDE, 8, torch.device("cpu"))
    row, column = layout.free_cells[-1]
    length = condition.steps[0, 0, row * SIDE + column]
    assert 255 < length < far(SIDE)
    searched = route_steps(condition.occupancy, condition.start, condition.goal)
    torch.testing.assert_close(condition.steps, searched.float())
    points, total = Waypoints()(condition)
    assert total.item() == length
    assert points[0, 0].mul(SIDE).tolist()[0] < points[0, -1].mul(SIDE).tolist()[0]


def test_paths_are_as_long():
    layout = snake()
    state, goal = ends(layout)
    path = shortest_path(layout, state[0], goal[0], 1024)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() > 400
    assert (path + OFFSET).max() < SIDE


def test_the_giant_map_is_ogbenchs_and_large_mazes_share_their_networks():
    maze = load_config(yaml.safe_load(Path("config.yaml").read_text())).maze
    giant = load_layout(maze.layouts["giant"].map, "giant")
    assert giant.walls.shape == (12, 16)
    assert (~giant.walls).sum() == 86
    resolved = maze.resolved()
    assert resolved.owner("refiner", "large_mazes_uniform_k4") == "large_mazes"
    assert resolved.section("prepare", "large_mazes")["frames"] == 256
    assert resolved.section("prepare", "large_mazes_512")["frames"] == 512
