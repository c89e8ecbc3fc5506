import numpy as np
import pytest

from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.simulator import MAX_SPEED, TIMESTEP, PointMaze

MASS = 4000 * np.pi / 3 * 0.1**3


@pytest.fixture
def maze():
    return PointMaze(load_layout("medium"))


def test_model_is_d4rls(maze):
    model = maze.model
    assert model.opt.timestep == TIMESTEP
    assert not model.opt.gravity.any()
    assert (model.nq, model.nv, model.nu) == (2, 2, 2)
    assert model.body("particle").mass[0] == pytest.approx(4.18879, abs=1e-5)
    np.testing.assert_allclose(model.body("particle").pos, (1.2, 1.2, 0))
    assert model.geom("particle_geom").size[0] == 0.1
    np.testing.assert_allclose(model.actuator_gear[:, 0], 100)
    np.testing.assert_allclose(model.dof_damping, 1)
    np.testing.assert_allclose(model.geom("wall_2_0").pos, (3, 1, 0))
    np.testing.assert_allclose(model.geom("wall_2_0").size, (0.5, 0.5, 0.2))
    assert model.ngeom == 2 + maze.layout.walls.sum()


def test_acceleration_is_the_actuators(maze):
    maze.reset((1, 1), (0, 0))
    state = maze.step((1, -0.5))
    # Euler with implicit joint damping: v' = dt * force / (mass + dt * damping), x' = x + dt * v'.
    speed = TIMESTEP * 100 / (MASS + TIMESTEP)
    np.testing.assert_allclose(state, (1 + TIMESTEP * speed, 1 - TIMESTEP * speed / 2, speed, -speed / 2), rtol=1e-9)
    assert speed / TIMESTEP == pytest.approx(23.87, rel=0.003)


def test_actions_are_clipped(maze):
    maze.reset((1, 1), (0, 0))
    limited = maze.step((1, -1))
    maze.reset((1, 1), (0, 0))
    np.testing.assert_array_equal(maze.step((7, -3)), limited)


def test_velocity_is_clipped_before_the_step(maze):
    maze.reset((1, 1), (9, -MAX_SPEED))
    fast = maze.step((1, 0))
    maze.reset((1, 1), (MAX_SPEED, -MAX_SPEED))
    np.testing.assert_array_equal(maze.step((1, 0)), fast)
    assert MAX_SPEED < fast[2] < 5.24


def test_reset_forgets_the_past(maze):
    maze.reset((1, 1), (0, 0))
    first = maze.step((0.3, 0.2))
    for _ in range(50):
        maze.step((1, 1))
    maze.reset((1, 1), (0, 0))
    np.testing.assert_array_equal(maze.step((0.3, 0.2)), first)


@pytest.mark.parametrize(("action", "axis", "limit"), [((-1, 0), 0, 0.4), ((0, -1), 1, 0.4), ((0, 1), 1, 2.2)])
def test_walls_stop_the_ball_at_its_radius(maze, action, axis, limit):
    """Cell w spans [w - 0.7, w + 0.3] of joint positions, the ball's centre [w - 0.6, w + 0.2]."""
    maze.reset((1, 1), (0, 0))
    positions = [maze.step(action)[axis] for _ in range(200)]
    assert abs(positions[-1] - limit) < 0.01
    assert np.abs(np.array(positions) - 1.3).max() < 0.9 + 0.05


def test_state_is_a_copy(maze):
    state = maze.reset((1, 1), (0, 0))
    maze.step((1, 1))
    np.testing.assert_array_equal(state, (1, 1, 0, 0))
