from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.maze.evaluation.contenders import NO_COSTS, costs, driven_fast, feedback_policies, planned, tracked
from interdiff.maze.evaluation.unseen import Driven, drive, share_through_walls, summary
from interdiff.maze.planner.settings import RetimingSettings
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.settings import RandomMapsSettings, TrackerSettings
from interdiff.maze.world.tasks import episodes
from interdiff.maze.world.tracker import Reference
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline
from interdiff.workflow.variants import merge


def line(start, end, steps=150):
    """A straight plan at even speed."""
    positions = np.linspace(start, end, steps)
    return Reference(positions, np.gradient(positions, 0.01, axis=0))


class StraightPlanner:
    """Goes straight to the goal, through walls."""

    name = "straight"
    parameters = 2_000_000

    def plan(self, layout, states, goals, generator):
        return [line(state[:2], goal) for state, goal in zip(states, goals, strict=True)]


def test_policies_that_see_every_step_reach_goals_in_random_mazes():
    for layout in random_layouts(RandomMapsSettings(count=3, sides=(5, 9), seed=7), "random"):
        cases = episodes(layout, "multi", 4, 0)
        for policies in feedback_policies(layout, cases, lambda: np.random.default_rng(0)).values():
            assert drive(layout, cases, policies, 1000).success.all()


def test_each_kind_of_policy_draws_from_a_generator_of_its_own():
    made = []

    def rng():
        made.append(np.random.default_rng(0))
        return made[-1]

    layout = load_layout("umaze")
    assert len(feedback_policies(layout, episodes(layout, "multi", 2, 0), rng)) == len(made) == 2


def test_plans_through_walls_are_counted_and_do_not_arrive():
    layout = load_layout("#####\\#OOO#\\###O#\\#OOO#\\#####", "bend")
    cells = [(1.0, 1.0), (1.0, 3.0), (3.0, 1.0)]
    along, across = line(cells[0], cells[1]), line(cells[0], cells[2])
    assert share_through_walls(layout, [along, across]) == 0.5
    cases = type(episodes(layout, "multi", 2, 0))(np.array([[1.0, 1.0, 0, 0]] * 2), np.array(cells[1:]))
    policies = tracked([along, across], TrackerSettings(p_gain=10, d_gain=1))
    driven = drive(layout, cases, policies, 400)
    assert driven.success.tolist() == [True, False]
    assert 0 < driven.first_reach[0] < 200


def test_the_standard_error_is_over_mazes():
    mazes = [Driven(np.array([True, True]), np.array([10, 20])), Driven(np.array([False, True]), np.array([0, 60]))]
    figures = summary([[maze] for maze in mazes])
    assert figures["mazes"] == 2
    assert figures["n"] == 4
    assert figures["success"] == 0.75
    assert figures["success_se"] == pytest.approx(0.25)
    assert figures["first_reach"] == 30
    assert np.isnan(summary([[Driven(np.array([False]), np.array([0]))]] * 2)["first_reach"])


def test_paths_of_peers_can_be_driven_fast():
    layout = load_layout("umaze")
    cases = episodes(layout, "multi", 2, 0)
    slow = StraightPlanner().plan(layout, cases.states, cases.goals, torch.Generator())
    for fast, plan in zip(driven_fast(slow, layout, cases, RetimingSettings()), slow, strict=True):
        assert len(fast.positions) < len(plan.positions)
        np.testing.assert_allclose(fast.positions[[0, -1]], plan.positions[[0, -1]], atol=0.01)


def test_what_a_plan_costs():
    layout = load_layout("umaze")
    cases = episodes(layout, "multi", 2, 0)
    _, figures = planned(StraightPlanner(), layout, cases, torch.Generator())
    figures |= costs(StraightPlanner(), layout, cases, torch.Generator())
    assert figures.keys() == {"plan_ms", "crossed", *NO_COSTS}
    assert (figures["token_evals"], figures["params_m"]) == (0, 2.0)
    assert figures["plan_ms"] > 0


def pipeline(changes):
    """The shipped maze pipeline with changes in report.unseen."""
    shipped = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())
    return MazePipeline(load_config(merge(shipped, {"maze": {"report": {"unseen": changes}}})).maze, "results", ".")


def trained(maze):
    """The variants whose networks unseen.csv needs."""
    files = maze.planning_files(planner.variant for planner in maze.unseen_planners().values())
    return {Path(path).parent.name for path in files}


def test_a_family_says_which_planners_drive_in_it():
    maze = pipeline({})
    small, large = (maze.reported.unseen.driven()[name] for name in ("sides_16", "sides_32"))
    assert small == ["two_phase", "waypoints", "no_steps", "full_sequence_t"]
    assert large == ["large_mazes", "large_mazes_uniform"]
    told = maze.unseen(None)
    assert told["folders"].keys() == told["prepared"].keys() == {*small, *large}
    assert told["prepared"]["large_mazes"] == told["prepared"]["large_mazes_uniform"] == "maze/prepared/large_mazes"


def test_a_family_that_is_left_out_asks_for_no_training():
    everything = trained(pipeline({}))
    small = trained(pipeline({"families": {"sides_24": {"planners": []}, "sides_32": {"planners": []}}}))
    assert everything - small == {"large_mazes"}


def test_mazes_that_do_not_fit_a_planners_maps_are_named():
    maze = pipeline({"families": {"sides_32": {"planners": ["two_phase"]}}})
    with pytest.raises(
        InputError, match=r"unseen\.families\.sides_32: 32 cells .* of 16 .* two_phase \(variant unseen\)"
    ):
        maze.unseen_planners()
    with pytest.raises(InputError, match=r"rollouts\.tasks: giant: 16 cells .* of 12 .* two_phase \(variant base\)"):
        maze.rollout_planners("giant")
    with pytest.raises(InputError, match=r"families\.sides_32\.planners: 'best' is not among two_phase, "):
        pipeline({"families": {"sides_32": {"planners": ["best"]}}})
