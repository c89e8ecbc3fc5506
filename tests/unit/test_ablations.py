import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.evaluation.ablations import compared, plan_figures
from interdiff.maze.world.layouts import load_layout, occupancy

CELLS = 5
WALLS = occupancy(load_layout("umaze"), CELLS)
FREE = np.array([[1.5, 1.5], [1.5, 2.5], [1.5, 3.5]]) / CELLS
CROSSING = np.array([[1.5, 1.5], [3.5, 1.5], [3.5, 1.6]]) / CELLS


def samples(plans, rows=(4, 7, 4, 7)):
    """Two sequences with two seeds each, as samples.npz holds them."""
    refined, truth = np.array(plans), np.stack([FREE] * 4)
    return {
        "truth": truth,
        "refined": refined,
        "oracle_refined": truth,
        "occupancy": np.stack([WALLS] * 4),
        "layout": np.array(["umaze", "medium", "umaze", "medium"]),
        "row": np.array(rows),
    }


def test_figures_are_means_over_seeds_of_every_sequence():
    figures = plan_figures(samples([FREE, CROSSING, CROSSING, CROSSING]))
    assert figures["layout"].tolist() == ["umaze", "medium"]
    assert figures["crossed_refined"].tolist() == [0.5, 1]
    assert figures["collision_refined"].tolist() == [0.25, 0.5]
    assert figures["mse_oracle_refined"].tolist() == [0, 0]
    error = np.square((CROSSING - FREE) * CELLS).sum(-1).mean()
    assert figures["mse_refined"].tolist() == pytest.approx([error / 2, error])


def test_differences_are_paired():
    base = plan_figures(samples([FREE, CROSSING, FREE, CROSSING]))
    own = plan_figures(samples([CROSSING, CROSSING, CROSSING, CROSSING]))
    rows = {(row["layout"], row["figure"]): row for row in compared(own, base)}
    assert {layout for layout, _ in rows} == {"umaze", "medium", "all"}
    both = rows["all", "crossed_refined"]
    assert (both["n"], both["mean"], both["se"], both["difference"]) == (2, 1, 0, 0.5)
    assert both["difference_se"] == pytest.approx(0.5)  # of the differences 1 and 0
    assert np.isnan(rows["umaze", "crossed_refined"]["se"])


def test_other_sequences_cannot_be_compared():
    base = plan_figures(samples([FREE] * 4))
    with pytest.raises(InputError, match="not of the same held-out sequences"):
        list(compared(plan_figures(samples([FREE] * 4, rows=(4, 8, 4, 8))), base))
