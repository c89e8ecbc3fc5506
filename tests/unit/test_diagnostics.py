import matplotlib.image
import numpy as np
import pytest
import torch

from interdiff.maze.evaluation.diagnostics import failures, index_counts, level_figures
from interdiff.maze.figures.diagnostics import indices_picture, levels_picture
from interdiff.maze.world.layouts import load_layout, occupancy

CELLS = 5
WALLS = occupancy(load_layout("umaze"), CELLS)
FREE = np.array([[1.5, 1.5], [1.5, 2.5], [1.5, 3.5]]) / CELLS
CROSSING = np.array([[1.5, 1.5], [3.5, 1.5], [3.5, 1.6]]) / CELLS
ASIDE = FREE + np.array([0.3, 0.4]) / CELLS


class Shift(torch.nn.Module):
    """A refiner that moves every point by a tenth of a cell."""

    interpolation, noise = "linear", 0.0

    def forward(self, x, mask, exact, condition):
        return x + torch.tensor([0.1 / condition.cells, 0, 0, 0])


def test_levels(prepared_data):
    """Frames 0, 4 and 8 are anchors from the first level on, 2 and 6 from the second."""
    data = prepared_data(frames=9)
    ranks = torch.full((len(data.states), 9), 2)
    ranks[:, [0, 4, 8]], ranks[:, [2, 6]] = 0, 1
    chunks, generator = data.chunks(4), torch.Generator()
    coarse, fine = level_figures(Shift(), data, chunks, ranks, (3, 5), data.states, True, generator)
    assert (coarse["keyframes"], coarse["mean_gap"], coarse["max_gap"]) == (3, 4, 4)
    assert (fine["keyframes"], fine["mean_gap"], fine["max_gap"]) == (5, 2, 2)
    assert coarse["correction"] == pytest.approx(0.1, rel=1e-4)
    assert fine["mse_interp"] < coarse["mse_interp"]
    assert 0 <= coarse["out_of_bounds"] <= 1


def test_index_counts_and_their_picture(tmp_path):
    chosen = {"selector": np.array([[0, 1, 3], [0, 2, 3]]), "optimum": np.array([[0, 1, 3], [0, 1, 3]])}
    rows = index_counts(chosen, ["umaze", "umaze"], 4)
    assert [row["selector"] for row in rows] == [1, 0.5, 0.5, 1]
    assert [row["optimum"] for row in rows] == [1, 1, 0, 1]
    indices_picture(rows, tmp_path / "indices.png")
    assert matplotlib.image.imread(tmp_path / "indices.png").std() > 0.05


def test_the_picture_of_levels(tmp_path):
    rows = [
        {"policy": policy, "anchors": anchors, "keyframes": k, "max_gap": 40 / k, "correction": 0.1}
        | {"mse_interp": 1 / k, "mse_refined": 0.5 / k}
        for policy in ("selector", "uniform")
        for anchors in ("exact", "phase 1")
        for k in (8, 16)
    ]
    levels_picture(rows, tmp_path / "levels.png")
    assert matplotlib.image.imread(tmp_path / "levels.png").std() > 0.05


def test_failures_are_sorted_and_explained():
    plans = np.array([FREE, ASIDE, CROSSING, CROSSING])
    samples = {
        "truth": np.stack([FREE] * 4),
        "interp": np.array([FREE, ASIDE, CROSSING, FREE]),
        "refined": plans,
        "oracle_refined": np.array([FREE, FREE, CROSSING, FREE]),
        "indices": np.array([[0, 1, 2]] * 4),
        "keyframes": plans,
        "occupancy": np.stack([WALLS] * 4),
        "layout": np.array(["umaze"] * 4),
        "seed": np.zeros(4, int),
    }
    worst = failures(samples, 3)
    assert [row["number"] for row in worst] == [2, 3, 1]
    assert worst[0]["reason"].startswith("through a wall (the interpolation's, left by phase 2), also from exact")
    assert worst[1]["reason"].startswith("through a wall (phase 2's own), not from exact keyframes; keyframe 2 is 2.8")
    assert worst[2]["reason"] == "stays near its keyframes, keyframe 0 is 0.5 cells off"
