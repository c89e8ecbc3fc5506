from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from interdiff.maze.evaluation.contenders import planned
from interdiff.maze.planner.plans import Planner
from interdiff.maze.planner.settings import RetimingSettings, SamplingSettings, TimedPlannerSettings
from interdiff.maze.planner.timed_planner import TimedPlanner
from interdiff.maze.world.layouts import OFFSET, load_layout
from interdiff.maze.world.paths import shortest_path
from interdiff.maze.world.simulator import MAX_SPEED
from interdiff.maze.world.tasks import Episodes, episodes

FRAMES = 32
SIZE = {"d_model": 16, "depth": 1, "heads": 2}
LAYOUT = load_layout("umaze")
CASES = episodes(LAYOUT, "multi", 3, 1)


@pytest.fixture(scope="module")
def make(prepared_data, untrained_phases):
    phase1, refiner = untrained_phases(FRAMES)

    def planner(policy="selector", drawer=Planner, **settings):
        sampling = SamplingSettings(policy=policy, k=4, keyframe_steps=3, refiner_steps=2, noise="none")
        return TimedPlanner(
            drawer(phase1, refiner, sampling), prepared_data(FRAMES), TimedPlannerSettings(**settings), "x"
        )

    return planner


def plans(planner, seed=0):
    return planner.plan(LAYOUT, CASES.states, CASES.goals, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("retiming", [RetimingSettings(), None])
def test_plans_lead_from_the_start_to_the_goal_within_the_speed_limit(make, retiming):
    for reference, state, goal in zip(plans(make(retiming=retiming)), CASES.states, CASES.goals, strict=True):
        np.testing.assert_allclose(reference.positions[0], state[:2], atol=0.01)
        np.testing.assert_allclose(reference.positions[-1], goal, atol=0.01)
        assert np.abs(reference.velocities).max() <= MAX_SPEED * 1.01


def test_random_keyframes_follow_the_seed_too(make):
    planner = make("random")

    def keyframes(seed):
        data = planner.prepared
        return planner.planner.keyframes(data, None, torch.Generator().manual_seed(seed))[0]

    assert torch.equal(keyframes(0), keyframes(0))
    assert not torch.equal(keyframes(0), keyframes(1))
    assert planner.planner.phase1.selector.nested_levels[0] == keyframes(0).shape[1]
    before = torch.Generator().manual_seed(0)
    make("uniform").planner.keyframes(planner.prepared, None, before)
    assert torch.equal(before.get_state(), torch.Generator().manual_seed(0).get_state())


def test_plans_follow_their_seed(make):
    first, again, other = (plans(make(), seed)[0].positions for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_smoothing_may_only_save_time(make):
    def total(smoothings):
        planner = make(candidates=1, retiming=RetimingSettings(smoothings=smoothings, clearance=0))
        return sum(len(plan.positions) for plan in plans(planner))

    assert total([0.02, 0.3]) <= total([0.02])


@pytest.mark.parametrize("policy", ["selector", "uniform"])
def test_token_evaluations_are_those_of_the_networks_that_run(make, policy):
    """Keyframes are chosen once; D_phi says to each candidate how hard its segments are, and phase 1 steps three times."""
    one, three = (make(policy, candidates=count, redraws=0) for count in (1, 3))
    made = [planned(planner, LAYOUT, CASES, torch.Generator())[1] for planner in (one, three)]
    evaluations = [figures["token_evals"] for figures in made]
    candidate = FRAMES // 8 + 3 * 4 + 2 * FRAMES // 2
    chosen = 2 * FRAMES // 8 if policy == "selector" else 0
    assert evaluations == [chosen + candidate, chosen + 3 * candidate]
    selector = sum(parameter.numel() for parameter in one.planner.phase1.selector.parameters())
    assert make("selector").parameters - one.parameters == (selector if policy == "uniform" else 0)


def test_the_trace_is_that_of_the_plan(make):
    planner = make()
    traced = planner.traced(LAYOUT, CASES.states, CASES.goals, torch.Generator().manual_seed(0))
    for trace, plan in zip(traced, plans(planner), strict=True):
        np.testing.assert_array_equal(trace.reference.positions, plan.positions)
        assert trace.keyframes.shape == (4, 2)
        assert trace.interpolated.shape == trace.refined.shape == (FRAMES, 2)


class SometimesBlind(Planner):
    """Straight through walls in the first draws, along the search's path in the last one."""

    draws: ClassVar[list[int]] = []

    def plan(self, data, rows, *arguments, **options):
        plans = super().plan(data, rows, *arguments, **options)
        self.draws.append(len(rows))
        starts, goals = (x[rows, None, :2] for x in (data.start, data.goal))
        share = torch.linspace(0, 1, FRAMES)[:, None]
        paths = starts + share * (goals - starts)
        if len(self.draws) > 2:
            ends = zip(
                (x * 5 - OFFSET for x in data.start.numpy()), (x * 5 - OFFSET for x in data.goal.numpy()), strict=True
            )
            found = np.stack([shortest_path(LAYOUT, start, goal, FRAMES) for start, goal in ends])
            paths = torch.tensor((found + OFFSET) / 5)[rows]
        return replace(plans, refined=torch.cat([paths, torch.zeros_like(paths)], dim=-1))


@pytest.mark.parametrize(("redraws", "draws", "free"), [(0, 1, False), (1, 2, False), (2, 3, True), (5, 3, True)])
def test_candidates_are_drawn_until_a_plan_is_free(make, monkeypatch, redraws, draws, free):
    """Only for the plans that are not; each draw costs tokens."""
    monkeypatch.setattr(SometimesBlind, "draws", [])
    planner = make(drawer=SometimesBlind, candidates=2, redraws=redraws)
    near, far = np.array([[1.0, 1.1, 0, 0]]), np.array([[1.0, 1.0, 0, 0]])
    cases = Episodes(np.concatenate([near, far]), np.array([[1.0, 1.9], [3.0, 1.0]]))
    traced = planner.traced(LAYOUT, cases.states, cases.goals, torch.Generator())
    assert [plan.free for plan in traced] == [True, free]
    assert SometimesBlind.draws == [4, *[2] * (draws - 1)]
    monkeypatch.setattr(SometimesBlind, "draws", [])
    _, made = planned(planner, LAYOUT, cases, torch.Generator())
    candidate = FRAMES // 8 + 3 * 4 + 2 * FRAMES // 2
    assert made == {"crossed": 0.0 if free else 0.5, "token_evals": 2 * FRAMES // 8 + candidate * (draws + 1)}
