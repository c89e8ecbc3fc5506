from itertools import pairwise

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.planner import retiming
from interdiff.maze.planner.retiming import KNOTS, LONGEST, fastest_clear, retimed, timings
from interdiff.maze.planner.settings import RetimingSettings
from interdiff.maze.world.layouts import load_layout, occupancy, signed_distance
from interdiff.maze.world.simulator import DAMPING, MASS, MAX_FORCE, MAX_SPEED, TIMESTEP, PointMaze
from interdiff.maze.world.tracker import Reference

REST = np.zeros(2)
LINE = np.linspace([0, 0], [4, 0], 50)


def accelerations(reference):
    return np.diff(reference.velocities, axis=0) / TIMESTEP


def test_the_balls_constants_are_the_models():
    model = PointMaze(load_layout("umaze")).model
    assert model.body_mass.sum() == pytest.approx(MASS)
    assert (model.actuator_gear[:, 0] == MAX_FORCE).all()
    assert (model.dof_damping == DAMPING).all()


def test_a_straight_line_from_rest_takes_the_least_time():
    acceleration = (0.9 * MAX_FORCE - 0.9 * MAX_SPEED) / MASS
    speed = 0.9 * MAX_SPEED
    expected = 4 / speed + speed / acceleration
    reference = retimed(LINE, REST, 0.9, 0.001)
    assert len(reference.positions) * TIMESTEP == pytest.approx(expected, rel=0.03)
    assert np.abs(reference.velocities).max() == pytest.approx(speed, rel=0.01)
    np.testing.assert_allclose(reference.positions[-1], [4, 0], atol=1e-3)
    np.testing.assert_allclose(reference.velocities[-1], 0, atol=0.05)


def test_a_short_line_is_half_acceleration_and_half_braking():
    acceleration = (0.9 * MAX_FORCE - 0.9 * MAX_SPEED) / MASS
    reference = retimed(LINE / 20, REST, 0.9, 0.0001)
    assert len(reference.positions) * TIMESTEP == pytest.approx(2 * np.sqrt(0.2 / acceleration), rel=0.1)


def test_speed_at_the_start_is_used():
    still, moving = (retimed(LINE, np.array([v, 0.0]), 0.9, 0.001) for v in (0.0, 3.0))
    assert len(moving.positions) < len(still.positions)
    assert moving.velocities[0, 0] == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("radius", [0.4, 1.0])
def test_limits_hold_around_a_bend(radius):
    angle = np.linspace(0, np.pi, 80)[:, None]
    path = radius * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    reference = retimed(path, REST, 0.9, 0.001)
    limit = (0.9 * MAX_FORCE - 0.9 * MAX_SPEED) / MASS
    assert np.abs(reference.velocities).max() <= 0.9 * MAX_SPEED * 1.01
    assert np.quantile(np.abs(accelerations(reference)), 0.98) <= 1.1 * limit
    off = np.abs(np.linalg.norm(reference.positions, axis=1) - radius)
    assert off.max() < 0.02


def test_velocities_are_those_of_the_positions():
    reference = retimed(LINE, REST, 0.9, 0.001)
    moved = np.diff(reference.positions[:-1], axis=0) / TIMESTEP
    between = 0.5 * (reference.velocities[1:-1] + reference.velocities[:-2])
    np.testing.assert_allclose(moved, between, atol=0.1)


def test_a_path_without_length_is_bad_input():
    with pytest.raises(InputError, match="cannot be retimed"):
        retimed(np.zeros((20, 2)), REST, 0.9, 0.001)


def test_the_fastest_reference_that_keeps_clear_is_taken():
    layout = load_layout("####\\#OO#\\#OO#\\####", "room")
    walls, distance = occupancy(layout, 4), signed_distance(layout, 4, 8)

    def passing(row, steps):
        positions = np.linspace([row, 1.0], [row, 1.6], steps)
        return Reference(positions, np.zeros_like(positions))

    middle, edge, slower = passing(1.3, 100), passing(0.32, 80), passing(1.3, 120)
    assert fastest_clear([slower, middle, edge], walls, distance, clearance=0.0) == (2, True)
    assert fastest_clear([slower, middle, edge], walls, distance, clearance=0.1) == (1, True)


def test_no_time_saved_makes_up_for_a_wall():
    layout = load_layout("#####\\#OOO#\\###O#\\#OOO#\\#####", "bend")
    walls, distance = occupancy(layout, 5), signed_distance(layout, 5, 8)

    def through(*corners, steps):
        positions = np.concatenate([np.linspace(*ends, steps) for ends in pairwise(np.subtract(corners, 0.2))])
        return Reference(positions, np.zeros_like(positions))

    across = through((1, 1), (3, 1), steps=10)
    along = through((1, 1), (1, 3), (3, 3), (3, 1), steps=2000)
    assert fastest_clear([across, along], walls, distance, clearance=0.1) == (1, True)
    assert fastest_clear([across, across], walls, distance, clearance=0.1) == (0, False)


def test_a_path_is_timed_with_every_smoothing():
    corner = np.concatenate([LINE, LINE[-1] + np.linspace([0, 0.08], [0, 4], 49)])
    settings = RetimingSettings(effort=0.9, smoothings=[0.01, 0.2])
    sharp, round_ = timings(corner, REST, settings)
    assert len(round_.positions) < len(sharp.positions)


def test_a_path_of_kinks_takes_no_longer_than_its_knots(monkeypatch):
    """As an untrained network draws them: such a path once took three million seconds, and twenty gigabytes."""
    monkeypatch.setattr(retiming, "_squared_rates", lambda first, *rest: np.zeros(len(first)))
    path = np.stack([np.linspace(0, 1, 8), np.zeros(8)], axis=1)
    reference = retimed(path, np.zeros(2), 0.9, 0.01)
    assert len(reference.positions) <= 1 + KNOTS * LONGEST / TIMESTEP
