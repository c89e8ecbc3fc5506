"""Plans in mazes of one's own, by a planner from a folder."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.maze import load_planner
from interdiff.maze.planner.keyframes import KeyframeDenoiser
from interdiff.maze.planner.refiner import Refiner
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector

MAZE = """
###############
#O  #     #   #
# # # ### # # #
# # #   # # # #
# # ### # # # #
# #     #   # #
# ########### #
#             #
###############
"""
START, GOAL = (1, 1), (7, 9)
SIZE = {"d_model": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An untrained planner of 32 frames on a grid of 16 cells."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("planner")
    tokens = {"frames": 32, "frames_per_token": 8, "channels": 4, **SIZE}
    selector = {"condition_bias": "none", "nested_levels": [4, 8, 16], "max_gap_factor": 2.5}
    networks = {
        "segment_cost": (SegmentCostModel, tokens),
        "selector": (KeyframeSelector, tokens | selector),
        "keyframes": (KeyframeDenoiser, {"frames": 32, **SIZE}),
        "refiner": (Refiner, {"frames": 32, "frames_per_token": 4, "interpolation": "linear", "noise": 0.002, **SIZE}),
    }
    for name, (network, config) in networks.items():
        files = {key: folder / name / file for key, file in (("model", "model.safetensors"), ("config", "config.json"))}
        (folder / name).mkdir()
        save_checkpoint(
            files | {"history": folder / name / "history.csv"}, network(**config), {"kind": name, "model": config}, []
        )
    settings = {
        "frames": 32,
        "cells": 16,
        "sdf_resolution": 8,
        "sampling": {"k": 4},
        "planner": {"candidates": 2, "redraws": 1},
    }
    (folder / "planner.json").write_text(json.dumps(settings))
    return folder


def test_a_plan_leads_from_start_to_goal(folder):
    plan = load_planner(folder).plan(MAZE, START, GOAL, n=3)
    assert plan.positions.shape == (3, 32, 2) == (*plan.times.shape, 2)
    assert plan.keyframes.shape == (3, 4, 2)
    np.testing.assert_allclose(plan.positions[:, 0], np.tile(START, (3, 1)), atol=0.2)
    np.testing.assert_allclose(plan.positions[:, -1], np.tile(GOAL, (3, 1)), atol=0.2)
    np.testing.assert_allclose(plan.keyframes[:, [0, -1]], np.tile([START, GOAL], (3, 1, 1)), atol=1e-4)
    assert (np.diff(plan.times) > 0).all()
    assert plan.collisions.shape == (3,)
    assert (plan.collisions > 0).all()  # untrained: the way is longer than these
    assert not plan.free.any()
    assert not np.array_equal(plan.positions[0], plan.positions[1])


def test_text_and_array_are_the_same_maze_and_a_seed_the_same_plan(folder):
    walls = np.array([[cell == "#" for cell in row] for row in MAZE.strip().splitlines()])
    planner = load_planner(folder)
    one, other = planner.plan(MAZE, START, GOAL), planner.plan(walls.astype(int), START, GOAL)
    np.testing.assert_array_equal(one.positions, other.positions)
    assert not np.array_equal(one.positions, planner.plan(MAZE, START, GOAL, seed=1).positions)


@pytest.mark.parametrize(
    ("maze", "start", "goal", "message"),
    [
        (MAZE, (0, 1), GOAL, r"start \(0, 1\): cell \(0, 1\) is wall"),
        (MAZE, START, (6, 9), r"goal \(6, 9\): cell \(6, 9\) is wall"),
        (MAZE, START, (7, 15), r"goal \(7, 15\): outside of the maze of 9 x 15 cells"),
        ("#####\n#O#O#\n#####", (1, 1), (1, 3), r"goal \(1, 3\): no way leads there from start \(1, 1\)"),
        ("#" * 17 + "\n#" + "O" * 15 + "#\n" + "#" * 17, (1, 1), (1, 5), "3 x 17 cells do not fit a grid of 16 x 16"),
        ("####\n#OOO\n####", (1, 1), (1, 2), r"border must be all '#', cell \(1, 3\) is free"),
        ("####\n#OX#\n####", (1, 1), (1, 2), r"unknown characters \['X'\]"),
    ],
)
def test_what_cannot_be_planned_is_one_clear_error(folder, maze, start, goal, message):
    with pytest.raises(InputError, match=message):
        load_planner(folder).plan(maze, start, goal)


def test_cells_that_nobody_reaches_do_not_matter(folder):
    maze = "#######\n#OO#OO#\n#OO####\n#######"
    assert load_planner(folder).plan(maze, (1, 1), (2, 2)).positions.shape == (1, 32, 2)


def test_what_is_no_planner_is_named(tmp_path):
    with pytest.raises(InputError, match=r"planner\.json"):
        load_planner(tmp_path)


def test_the_shell_command_draws_a_plan(folder, tmp_path):
    (tmp_path / "my maze.txt").write_text(MAZE)
    command = [sys.executable, "-m", "interdiff.maze.plan", tmp_path / "my maze.txt", "--planner", folder]
    options = ["--start", "1,1", "--goal", "7,9", "--n", "2"]
    done = subprocess.run([*command, *options, tmp_path / "plan.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["plan 0", "plan 1"]
    assert done.stdout.count("goes through a wall") == 2
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    refused = subprocess.run([*command, "--start", "1,1", "--goal", "6,9"], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (2, "error: goal (6.0, 9.0): cell (6, 9) is wall\n")
