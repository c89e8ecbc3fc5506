"""The rows that could sink the method: what each control does without, and that it gets what it is said to get."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.learning.costs import counted_flops
from interdiff.maze.evaluation.controls import control_rows
from interdiff.maze.planner.conditions import iterated_steps
from interdiff.maze.planner.keyframes import KeyframeDenoiser
from interdiff.maze.planner.kinds.full_sequence import FullSequence, SequenceDenoiser
from interdiff.maze.planner.kinds.shortest_path import ShortestPath
from interdiff.maze.planner.kinds.waypoints import WaypointsPlanner
from interdiff.maze.planner.losses.sequences import NoisySequences, sequence_loss
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.phase1 import Phase1
from interdiff.maze.planner.plans import Planner, function_evaluations
from interdiff.maze.planner.refiner import Refiner
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import SamplingSettings, SequenceDiffusionSettings
from interdiff.maze.world.layouts import cell_steps, occupancy
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.settings import RandomMapsSettings
from interdiff.maze.world.tasks import mean_and_error, scores
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.config import load_config

FRAMES = 32
NO_MASKS = Masks({}, {}, (4, 8, 16), 2.5, "linear")
SIZE = {"d_model": 16, "depth": 1, "heads": 2}


def two_phase(route="search"):
    torch.manual_seed(0)
    size = SIZE | {"route": route}
    phase1 = Phase1(
        SegmentCostModel(FRAMES, 8, 4, **size),
        KeyframeSelector(FRAMES, 8, 4, "none", (4, 8, 16), 2.5, **size),
        KeyframeDenoiser(FRAMES, **size),
        keyframe_scheduler(),
    )
    return phase1, Refiner(FRAMES, 2, "linear", 0.0, **size).eval()


def sampling(**settings):
    return SamplingSettings(k=4, keyframe_steps=2, refiner_steps=1, noise="none", **settings)


def refined(planner, data, seed=0):
    data = data.subset(data.rows_of(0))
    return planner.plan_all(data, NO_MASKS, torch.Generator().manual_seed(seed)).refined


def test_value_iteration_finds_the_steps_of_the_search():
    layouts = random_layouts(RandomMapsSettings(count=3, sides=(10, 16), grid=16, seed=5), "random")
    maps = torch.tensor(np.stack([occupancy(layout, 16) for layout in layouts])).float()
    number = torch.arange(3).repeat_interleave(4)
    cells = np.array([layout.free_cells[n] for layout in layouts for n in (0, 3, 5, -1)])
    start = torch.tensor((cells + 0.4) / 16).float()
    goal = start.view(3, 4, 2).flip(1).view(12, 2)
    found = iterated_steps(maps, number, start, goal)
    for row in range(12):
        places = [int(place[0]) * 16 + int(place[1]) for place in ((start[row] * 16).long(), (goal[row] * 16).long())]
        np.testing.assert_array_equal(found[row], cell_steps(maps[number[row]].numpy(), np.array(places)))


class Given(Planner):
    """Told the steps between cells."""

    def seen(self, data):
        return data


def test_a_planner_sees_the_map_alone_and_pays_for_the_steps_that_it_finds(prepared_data):
    data, phases = prepared_data(FRAMES), two_phase()
    given, own = (kind(*phases, sampling()) for kind in (Given, Planner))
    nothing = replace(data, steps=torch.zeros_like(data.steps))
    torch.testing.assert_close(refined(own, nothing), refined(given, data))
    assert not torch.allclose(refined(given, nothing), refined(given, data))
    evaluations = [function_evaluations(planner, data, NO_MASKS, torch.Generator()) for planner in (own, given)]
    assert evaluations[0] > evaluations[1]


def test_networks_without_steps_do_not_see_them(prepared_data):
    data = prepared_data(FRAMES)
    planner = Planner(*two_phase("straight"), sampling())
    torch.testing.assert_close(
        refined(planner, replace(data, steps=torch.zeros_like(data.steps))), refined(planner, data)
    )


def test_waypoints_stand_in_for_phase_1(prepared_data):
    data = prepared_data(FRAMES)
    planner = WaypointsPlanner(*two_phase(), sampling(planner="waypoints"))
    part = data.subset(data.rows_of(0))
    plans = planner.plan_all(part, NO_MASKS, torch.Generator())
    torch.testing.assert_close(plans.keyframes[:, 0, :2], part.start[:, :2])
    torch.testing.assert_close(plans.keyframes[:, -1, :2], part.goal)
    assert sum(p.numel() for p in planner.networks[-2].parameters()) == 18  # sharpness and times
    again = planner.plan_all(part, NO_MASKS, torch.Generator().manual_seed(9))
    torch.testing.assert_close(plans.refined, again.refined)
    assert not planner.varies  # so that no further candidates are drawn


def test_the_searchs_path_goes_around_walls(prepared_data):
    data = prepared_data(FRAMES)
    start, goal = ((torch.tensor([cell]) + 0.5) / 5 for cell in ([1.0, 1.0], [3.0, 1.0]))
    one = replace(data.subset(torch.tensor([0])), start=torch.cat([start, torch.zeros(1, 2)], 1), goal=goal)
    planner = ShortestPath(two_phase()[1], sampling(planner="shortest_path"))
    path = refined(planner, one)[0, :, :2] * 5
    assert path[:, 1].max() == pytest.approx(3.5, abs=0.05)
    torch.testing.assert_close(path[[0, -1]], torch.cat([start, goal]) * 5, atol=1e-5, rtol=0)
    assert function_evaluations(planner, one, NO_MASKS, torch.Generator()) == 0


@pytest.fixture
def full_sequence():
    torch.manual_seed(0)
    model = SequenceDenoiser(FRAMES, 2, **SIZE).eval()
    return FullSequence(two_phase()[1], sampling(planner="full_sequence"), model, keyframe_scheduler())


def test_full_sequences_hold_start_goal_and_given_frames(prepared_data, full_sequence):
    data = prepared_data(FRAMES)
    part = data.subset(data.rows_of(0))
    indices, ranks = full_sequence.keyframes(part, NO_MASKS, torch.Generator())
    assert indices.tolist() == [[0, 10, 21, 31]] * 3
    plans = full_sequence.plan(part, part.all_rows, indices, ranks, torch.Generator(), oracle=False)
    torch.testing.assert_close(plans.refined[:, 0, :2], part.start[:, :2])
    torch.testing.assert_close(plans.refined[:, -1, :2], part.goal)
    oracle = full_sequence.plan(part, part.all_rows, indices, ranks, torch.Generator(), oracle=True)
    torch.testing.assert_close(oracle.refined[:, indices[0]], part.states[:, indices[0]])


def test_more_steps_cost_more_and_the_condition_is_encoded_once(prepared_data, full_sequence):
    data = prepared_data(FRAMES)

    def nfe(steps):
        planner = replace(full_sequence, settings=sampling(planner="full_sequence", sequence_steps=steps))
        return function_evaluations(planner, data, NO_MASKS, torch.Generator())

    assert nfe(3) - nfe(2) == pytest.approx(nfe(2) - nfe(1))
    assert nfe(2) < 2 * nfe(1)


def test_sequences_are_learned_off_the_walls(prepared_data):
    torch.manual_seed(0)
    data, settings = prepared_data(FRAMES), SequenceDiffusionSettings()
    model = SequenceDenoiser(FRAMES, 2, **SIZE)
    batch = NoisySequences(data, settings, keyframe_scheduler()).draw(torch.Generator().manual_seed(0), 0)
    assert torch.equal(batch.noisy[batch.known], batch.clean[batch.known])
    scalars = sequence_loss(model, batch)
    assert scalars["penetration"] > 0
    scalars["loss"].backward()
    assert all(p.grad is not None for p in model.head.parameters())


def test_full_sequences_train_with_both_phases_compute():
    """Floating point operations of all steps, of the default configuration's sizes, within two percent."""
    base = load_config(yaml.safe_load(Path("config.yaml").read_text())).maze.resolved().models
    frames, cells = base["base"].data.frames, 12

    def condition(batch):
        maps = torch.zeros(3, cells, cells), torch.zeros(3, 8 * cells, 8 * cells)
        return Condition(*maps, torch.zeros(batch, 2, cells**2), torch.rand(batch, 4), torch.rand(batch, 2))

    def keyframes(section, k):
        model, batch = KeyframeDenoiser(frames, **section.network.model_dump()), section.training.batch_size
        z, known = torch.rand(batch, k, 4), torch.zeros(batch, k, 4, dtype=torch.bool)
        return model, (z, torch.rand(batch), torch.arange(k).expand(batch, -1), z[:, 1:, 0], known, condition(batch))

    def refiner(section):
        model = Refiner(frames, section.frames_per_token, "linear", 0.0, **section.network.model_dump())
        x = torch.rand(section.training.batch_size, frames, 4)
        return model, (x, x[..., 0] > 0, x[:, 0, 0] > 0, condition(len(x)))

    def sequences(section):
        model = SequenceDenoiser(frames, section.frames_per_token, **section.network.model_dump())
        z = torch.rand(section.training.batch_size, frames, 4)
        return model, (z, z[:, 0, 0], z > 0, condition(len(z)))

    def spent(section, model, inputs):
        return section.training.steps * counted_flops(lambda: model(*inputs))

    ours = base["base"]
    counts = ours.keyframes.counts
    phase1 = np.mean([spent(ours.keyframes, *keyframes(ours.keyframes, k)) for k in counts])
    both = phase1 + spent(ours.refiner, *refiner(ours.refiner))
    for variant in ("full_sequence_t", "full_sequence_t_large"):
        section = base[variant].sequence_diffusion
        assert spent(section, *sequences(section)) == pytest.approx(both, rel=0.02)
    size = base["full_sequence_t_large"].sequence_diffusion.network
    assert size.depth == ours.keyframes.network.depth + ours.refiner.network.depth


def test_errors_of_means_are_over_seeds_and_cases():
    values = np.array([[1.0, 2, 3, 4], [3, 4, 5, 6]])
    mean, error = mean_and_error(values)
    assert mean == 3.5
    assert error == pytest.approx(np.sqrt(values.mean(0).var(ddof=1) / 4 + 2 / 2))
    assert mean_and_error(values[:1])[1] == pytest.approx(values[0].std(ddof=1) / 2)
    rewards = np.zeros((2, 3, 10), dtype=bool)
    rewards[0, 0, 4:] = True
    figures = scores(rewards, None)
    assert (figures["n"], figures["success"], figures["first_reach"]) == (6, pytest.approx(1 / 6), 4)


def test_controls_are_compared_by_sequence_and_seed():
    def figures(mse):
        columns = {"mse_refined": mse, "crossed_refined": [0.0, 1], "collision_refined": [0.0, 0.5]}
        return pd.DataFrame({"layout": ["large"] * 2} | columns, index=[4, 7])

    costs = {"large": {"nfe": 3.0, "plan_ms": 9.0}}
    (row,) = control_rows([figures([3.0, 5]), figures([5.0, 7])], [figures([2.0, 3])], costs)
    assert (row["seeds"], row["n"], row["mse"], row["nfe"]) == (2, 2, 5, 3)
    assert (row["mse_difference"], row["mse_difference_se"]) == (1.5, 0.5)
    with pytest.raises(InputError, match="not of the same held-out sequences"):
        control_rows([figures([1.0, 2]).set_index(pd.Index([4, 8]))], [figures([2.0, 3])], costs)
