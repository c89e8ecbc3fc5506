import numpy as np
import pytest

from interdiff.maze.evaluation.refinement_limit import best_estimate, limit_row, resampled

T, INDICES = 33, np.array([0, 8, 16, 24, 32])


def walks(n, rng):
    """Brownian paths [n, T, 4] from one start, of unit steps per frame, without a velocity."""
    steps = rng.normal(0, 1, (n, T - 1, 2))
    paths = np.concatenate([np.zeros((n, 1, 2)), steps.cumsum(1)], axis=1)
    return np.concatenate([paths, np.zeros_like(paths)], axis=2)


def test_of_walks_the_bridge_is_left_and_the_best_estimate_is_the_line():
    """Between known ends `h` frames apart, E|x|^2 of a Brownian bridge in the plane is (h^2 - 1) / 3 over h frames."""
    rng = np.random.default_rng(0)
    demonstrations, truths = walks(2000, rng), walks(300, rng)
    errors, away = [], []
    for truth in truths:
        estimate = best_estimate(demonstrations, truth, INDICES)
        np.testing.assert_allclose(estimate[INDICES], truth[INDICES, :2])
        line = np.stack([np.interp(np.arange(T), INDICES, axis) for axis in truth[INDICES, :2].T], axis=1)
        away.append(np.square(estimate - line).sum(-1).mean())
        errors.append(np.square(estimate - truth[:, :2]).sum(-1).mean())
    expected = 4 * (8**2 - 1) / 3 / T
    assert np.mean(errors) == pytest.approx(expected, rel=0.08)
    assert np.mean(away) < 0.03 * expected


def test_what_follows_from_the_ends_is_not_left():
    """Paths bent by what their velocities say: a line misses all of it, and the estimate nothing."""
    rng = np.random.default_rng(0)
    bend = rng.normal(0, 1, (200, 2))
    time = np.linspace(0, 1, T)
    paths = bend[:, None] * (time * (1 - time))[:, None]
    states = np.concatenate([paths, np.gradient(paths, time, axis=1)], axis=2)
    estimate = best_estimate(states[1:], states[0], np.array([0, T - 1]))
    assert np.square(estimate - paths[0]).sum(-1).mean() < 1e-3 * np.square(paths[0]).sum(-1).mean()


def test_demonstrations_are_resampled_as_sequences_are_prepared():
    states = np.stack([np.arange(51.0), np.zeros(51), np.full(51, 100.0), np.zeros(51)], axis=1)
    (path,) = resampled([states], 11)
    np.testing.assert_allclose(path[:, 0], np.linspace(0, 50, 11))
    np.testing.assert_allclose(path[:, 2], 50)


def test_figures_are_ratios_of_means():
    errors = {"interp": np.array([2.0, 4.0]), "refined": np.array([1.0, 2.0]), "limit": np.array([1.0, 1.0])}
    row = limit_row(errors)
    assert (row["mse_interp"], row["refined_ratio"], row["limit_ratio"]) == (3.0, 0.5, pytest.approx(1 / 3))
    assert row["limit_ratio_se"] == pytest.approx(1 / 9)
