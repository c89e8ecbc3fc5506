import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.keyframes.segment_cost import all_segment_costs
from interdiff.maze.evaluation.metrics import FEWEST_SPOILED, KINDS, cost_ratio, plan_metrics
from interdiff.maze.figures import gallery as pictures
from interdiff.maze.figures.gallery import ARRAYS, gallery, plans_of
from interdiff.maze.world.layouts import load_layout, occupancy

CELLS = 5
WALLS = occupancy(load_layout("umaze"), CELLS)
# Plans of two pieces: free, through the wall with their second piece, with their first piece, with both.
FREE = np.array([[1.5, 1.5], [1.5, 2.5], [1.5, 3.5]]) / CELLS
SECOND = np.array([[1.5, 1.5], [1.5, 1.6], [3.5, 1.6]]) / CELLS
FIRST = np.array([[1.5, 1.5], [3.5, 1.5], [3.5, 1.6]]) / CELLS
BOTH = np.array([[1.5, 1.5], [3.5, 1.5], [1.5, 1.6]]) / CELLS


def metrics(*plans):
    """Of plans given as pairs (interpolated, refined); the oracle's are all free."""
    interp, refined = (np.array(side) for side in zip(*plans, strict=True))
    free = np.broadcast_to(FREE, interp.shape)
    positions = {"interp": interp, "refined": refined, "oracle_interp": free, "oracle_refined": free}
    return plan_metrics(positions, free, np.broadcast_to(WALLS, (len(free), *WALLS.shape)))


def test_all_columns():
    values = metrics((FREE, FREE))
    assert set(values) == {f"{name}_{kind}" for name in ("collision", "mse") for kind in KINDS} | {
        "crossed_interp",
        "crossed_refined",
        "fixed",
        "broken",
    }


def test_collision_counts_pieces_and_crossed_counts_plans():
    values = metrics((SECOND, FREE), (FREE, FREE), (FREE, FREE), (FREE, FIRST))
    assert (values["collision_interp"], values["collision_refined"]) == (1 / 8, 1 / 8)
    assert (values["crossed_interp"], values["crossed_refined"]) == (1 / 4, 1 / 4)
    assert (values["collision_oracle_interp"], values["collision_oracle_refined"]) == (0, 0)


def test_fixed_is_the_share_of_spoiled_plans_that_are_free_afterwards():
    spoiled = [(SECOND, FREE)] * 10 + [(BOTH, FIRST)] * 5 + [(SECOND, SECOND)] * 4 + [(SECOND, BOTH)]
    assert metrics(*spoiled, (FREE, FREE), (FREE, FIRST))["fixed"] == 10 / 20


@pytest.mark.parametrize(("count", "known"), [(FEWEST_SPOILED - 1, False), (FEWEST_SPOILED, True)])
def test_fixed_of_few_plans_is_not_a_number(count, known):
    assert FEWEST_SPOILED == 20
    value = metrics(*[(SECOND, FREE)] * count, *[(FREE, FREE)] * 50)["fixed"]
    assert value == 1 if known else np.isnan(value)


def test_broken_is_the_share_of_plans_with_a_piece_that_newly_collides():
    plans = (FREE, FREE), (FREE, FIRST), (SECOND, BOTH), (SECOND, FIRST), (BOTH, SECOND)
    assert metrics(*plans)["broken"] == 3 / 5


def test_mse_is_in_squared_cells():
    moved = FREE + np.array([0.3, 0.4]) / CELLS
    values = metrics((moved, FREE), (FREE, FREE))
    assert values["mse_interp"] == pytest.approx(0.25 / 2)
    assert values["mse_refined"] == 0


def test_cost_ratio_is_a_ratio_of_sums():
    truth = np.random.default_rng(0).random((3, 10, 2))
    indices = np.tile([0, 4, 9], (3, 1))
    cost = all_segment_costs(truth * CELLS)
    total = (cost[:, 0, 4] + cost[:, 4, 9]).sum()
    best = np.array([1.0, 2.0, 3.0])
    assert cost_ratio(truth, CELLS, indices, {indices.shape[1]: best}, "linear") == pytest.approx(total / 6, rel=1e-5)
    repeated = np.concatenate([indices, indices[:, -1:]], axis=1)
    assert cost_ratio(truth, CELLS, repeated, {indices.shape[1]: best}, "linear") == pytest.approx(total / 6, rel=1e-5)


@pytest.fixture
def samples():
    """Three samples as samples.npz holds them."""
    states = np.concatenate([np.stack([FREE] * 3), np.zeros((3, 3, 2))], axis=-1)
    arrays = {name: states for name in ("truth", "interp", "refined")}
    return arrays | {
        "keyframes": states[:, [0, 2]],
        "start": states[:, 0],
        "goal": states[:, -1, :2],
        "occupancy": np.stack([WALLS] * 3),
        "layout": np.array(["umaze"] * 3),
    }


@pytest.mark.parametrize("numbers", [[2], [0, 1, 2], [0, 1, 2, 0]])
def test_a_picture_of_given_samples(samples, numbers, tmp_path):
    gallery(samples, numbers, tmp_path / "gallery.png")
    picture = matplotlib.image.imread(tmp_path / "gallery.png")
    assert picture.shape[0] > 300
    assert picture.std() > 0.05


def test_titles_do_not_touch_the_row_above(samples, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save_picture", lambda figure, path: drawn.append(figure))
    gallery(samples, [0, 1, 2, 0, 1, 2], tmp_path / "gallery.png")
    (figure,) = drawn
    figure.canvas.draw()
    above, below = figure.axes[:3], figure.axes[3:]
    assert max(p.title.get_window_extent().y1 for p in below) < min(p.get_window_extent().y0 for p in above)


def test_the_plans_of_a_family_are_one_of_each_maze(samples, tmp_path):
    layouts = np.array(["caves-10", "caves-10", "caves-2", "cave", "cave", "caves-10"])
    assert plans_of(layouts, "cave") == [3, 4]
    assert plans_of(layouts, "caves") == [0, 2]
    assert plans_of(layouts, "hole") == []
    gallery(samples, [], tmp_path / "none.png")
    assert (tmp_path / "none.png").exists()


def test_other_samples_give_other_pictures(samples, tmp_path):
    samples["refined"] = np.stack([np.pad(plan, ((0, 0), (0, 2))) for plan in (FREE, FREE, SECOND)])
    drawn = [
        gallery(samples, [n], tmp_path / f"{n}.png") or matplotlib.image.imread(tmp_path / f"{n}.png") for n in range(3)
    ]
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("number", [-1, 3])
def test_a_number_outside_is_bad_input(samples, number, tmp_path):
    with pytest.raises(InputError, match=rf"sample {number}: expected a number from 0 to 2"):
        gallery(samples, [number], tmp_path / "gallery.png")
    assert not list(tmp_path.iterdir())


def test_samples_of_an_older_version_name_what_was_renamed(samples, tmp_path):
    np.savez(tmp_path / "samples.npz", keypoints=samples.pop("keyframes"), **samples)
    with pytest.raises(InputError, match=r"samples\.npz: array 'keypoints', renamed to 'keyframes'"):
        load_arrays(tmp_path / "samples.npz", ARRAYS)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [(["1"], 0, ""), (["3"], 1, "sample 3: expected"), (["one"], 1, "usage"), ([], 1, "usage")],
)
def test_any_sample_can_be_drawn_again(samples, tmp_path, words, code, message):
    np.savez(tmp_path / "samples.npz", **samples)
    command = [
        sys.executable,
        "-m",
        "interdiff.maze.figures.gallery",
        tmp_path / "samples.npz",
        *words,
        tmp_path / "1.png",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "1.png").exists() == (code == 0)
