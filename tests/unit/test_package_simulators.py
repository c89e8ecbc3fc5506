"""The mazes of other packages beside ours, where they are installed, and what is said where they are not."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.evaluation.contenders import ShortestPathPlanner, tracked
from interdiff.maze.evaluation.rollouts import roll
from interdiff.maze.planner.settings import RetimingSettings
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.packages.simulators import OGBenchPointMaze, simulator
from interdiff.maze.world.settings import TrackerSettings
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tasks import Episodes, at_goal, episodes
from interdiff.workflow.config import load_config


def searched(layout, cases, clearance=0.1):
    return ShortestPathPlanner(128, RetimingSettings(clearance=clearance)).plan(layout, cases.states, cases.goals, None)


@pytest.mark.skipif(find_spec("gymnasium_robotics") is None, reason="needs the extra pointmaze")
def test_gymnasium_robotics_moves_as_our_simulator():
    """Its ball is D4RL's on other axes; but it stands in the middle of the map, so that walls meet it elsewhere."""
    layout = load_layout("medium")
    theirs, ours = simulator("pointmaze", layout), simulator("d4rl", layout)
    assert isinstance(ours, PointMaze)
    assert (theirs.goal_radius, ours.goal_radius) == (0.45, 0.5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        cell = layout.free_cells[rng.integers(len(layout.free_cells))]
        start = np.array(cell) - 0.2, rng.normal(0, 3, 2)
        np.testing.assert_allclose(theirs.reset(*start), ours.reset(*start))
        for action in rng.uniform(-1.5, 1.5, (5, 2)):
            np.testing.assert_allclose(theirs.advance(*action), ours.advance(*action), atol=1e-9)
    cases = episodes(layout, "multi", 10, 0)
    driven = roll(theirs, cases, tracked(searched(layout, cases), TrackerSettings()), 600)
    assert at_goal(driven, cases.goals, theirs.goal_radius).any(1).all()


@pytest.mark.skipif(find_spec("ogbench") is None, reason="needs the extra ogbench")
def test_ogbenchs_giant_is_driven_to_its_goals():
    maze = OGBenchPointMaze("giant")
    assert maze.layout.walls.shape == (12, 16)
    assert maze.goal_radius == 0.25
    starts, goals = (np.array(part) for part in zip(*maze.tasks(), strict=True))
    np.testing.assert_allclose((starts[0], goals[0]), ((0.8, 0.8), (9.8, 13.8)))
    cases = Episodes(np.concatenate([starts, np.zeros_like(starts)], axis=1), goals)
    state = maze.reset(starts[0], np.zeros(2))
    assert maze.advance(1.0, -1.0)[:2] == pytest.approx((state[0] + 0.05, state[1] - 0.05), abs=1e-6)
    # A row of a plan in 0.01 s at 5 units/s is what a step of OGBench's can do.
    follow = tracked(searched(maze.layout, cases, 0.2), TrackerSettings(p_gain=20.0, d_gain=0.0, feed_forward=False))
    assert at_goal(roll(maze, cases, follow, 1000), goals, maze.goal_radius).any(1).all()


def test_without_the_package_the_setting_says_what_it_needs(monkeypatch):
    monkeypatch.setattr("interdiff.maze.evaluation.settings.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"report.rollouts.env: .*pointmaze needs the package gymnasium-robotics"):
        load_config({"maze": {"report": {"rollouts": {"env": "pointmaze"}}}})
    monkeypatch.setitem(sys.modules, "gymnasium_robotics.envs.maze.point_maze", None)
    with pytest.raises(InputError, match=r"env: pointmaze needs the package of gymnasium_robotics"):
        simulator("pointmaze", load_layout("umaze"))
