import numpy as np
import pytest

from interdiff.keyframes.dynamic_programming import optimal_indices, uniform_indices
from interdiff.keyframes.segment_cost import all_segment_costs
from interdiff.maze.evaluation.selection_limit import expected_cost, load_starts, sample_rows, selection_row
from interdiff.maze.world.controller import generate, resimulate
from interdiff.maze.world.d4rl import Stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.sequences import prepare
from interdiff.maze.world.settings import DataSettings

LAYOUT = load_layout("umaze")
START, TARGET = np.array([1.0, 1.0, 0.0, 0.0]), np.array([3, 1])


@pytest.fixture(scope="module")
def stream():
    return Stream(generate(LAYOUT, 8000, seed=0), LAYOUT)


@pytest.mark.parametrize("flip_y", [False, True])
def test_starts_are_those_of_the_simulator(stream, tmp_path, flip_y):
    data = prepare([(LAYOUT, stream)], DataSettings(frames=16, flip_y=flip_y))[0]["train"]
    np.savez(tmp_path / "train.npz", **data)
    starts = load_starts(tmp_path / "train.npz")
    np.testing.assert_allclose(starts.states, stream.states[data["first_row"]], atol=1e-5)
    np.testing.assert_array_equal(starts.targets, np.round(stream.arrays["infos/goal"][data["first_row"]]))


def test_without_noise_and_jitter_the_expectation_is_the_cost(monkeypatch):
    monkeypatch.setattr("interdiff.maze.world.controller._JITTER", 0.0)
    mean = expected_cost(LAYOUT, START, TARGET, 16, 3, np.random.default_rng(0), noise=0.0)
    states = resimulate(LAYOUT, START, (3.0, 1.0), np.random.default_rng(1), 1, noise=0.0)[0]
    at = np.linspace(0, len(states) - 1, 16)
    positions = np.stack([np.interp(at, np.arange(len(states)), states[:, d]) for d in (0, 1)], axis=1)
    np.testing.assert_allclose(mean, all_segment_costs(positions[None])[0], rtol=1e-4, atol=1e-6)


def test_figures_of_the_optimum_and_of_uniform():
    rng = np.random.default_rng(0)
    exact = all_segment_costs(rng.normal(size=(6, 16, 2)).cumsum(1))
    chosen = {"uniform": np.tile(uniform_indices(16, 4), (6, 1)), "dphi": optimal_indices(exact, 4, 2.5)[0]}
    row = selection_row(exact, exact, chosen, 4, 2.5, rng)
    assert row["limit"] == pytest.approx(1)
    assert row["dphi"] == pytest.approx(1)
    assert row["uniform"] > 1
    assert row["limit_excess"] == pytest.approx(0, abs=1e-6)
    assert row["limit_se"] == pytest.approx(0, abs=1e-6)
    as_uniform = selection_row(exact, exact, {**chosen, "selector": chosen["uniform"]}, 4, 2.5, rng)
    assert as_uniform["selector_excess"] == pytest.approx(1)


def test_rows_are_of_every_group_and_reproducible():
    groups = [np.arange(5), np.array([7, 8])]
    rows = sample_rows(groups, 3, np.random.default_rng(0))
    assert (rows < 5).tolist() == [True, True, True, False, False]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, sample_rows(groups, 3, np.random.default_rng(0)))
