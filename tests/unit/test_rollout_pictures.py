import numpy as np
import pandas as pd
import pytest
from PIL import Image

from interdiff.maze.figures.rollouts import animation, compute_picture, driven_picture
from interdiff.maze.world.layouts import load_layout


@pytest.fixture
def driven():
    positions = np.random.default_rng(0).uniform(1, 3, (2, 3, 40, 2))
    return {
        "map": np.array(load_layout("umaze").ascii),
        "planners": np.array(["two_phase", "full_sequence"]),
        "goals": np.array([[1.0, 1.0], [3.0, 3.0], [3.0, 1.0]]),
        "positions": positions,
        "keyframes": positions[0, 0, ::10],
        "interpolated": positions[0, 0],
        "refined": positions[0, 1],
        "driven": positions[0, 2],
    }


def test_a_column_for_each_planner_and_a_row_for_each_map(driven, tmp_path):
    driven_picture([driven], tmp_path / "one.png")
    driven_picture([driven, driven], tmp_path / "two.png")
    one, two = (Image.open(tmp_path / f"{name}.png") for name in ("one", "two"))
    assert one.width == two.width
    assert two.height == pytest.approx(2 * one.height, rel=0.05)


def test_scores_are_drawn_against_compute(tmp_path):
    row = {"task": "multi", "score_se": 1.0}
    rows = [
        row | {"planner": "two_phase", "score": 150.0, "token_evals": 500},
        row | {"planner": "controller", "score": 140.0, "token_evals": 0},
    ]
    compute_picture(pd.DataFrame(rows), tmp_path / "compute.png")
    assert Image.open(tmp_path / "compute.png").width > 300


def test_the_animation_makes_and_drives_one_plan(driven, tmp_path):
    animation(driven, tmp_path / "plan.gif")
    assert Image.open(tmp_path / "plan.gif").n_frames >= 3 + 40 / 8  # equal frames are one
