"""How many keyframes each plan gets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.keyframes.budget import groups, least_counts, mean_count, padded, predicted_costs
from interdiff.learning import draws
from interdiff.maze.evaluation.budget import ways
from interdiff.maze.evaluation.settings import BudgetSettings
from interdiff.maze.figures.budget import budget_picture
from interdiff.maze.planner.kinds.auto import AutoPlanner
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.plans import Planner, function_evaluations
from interdiff.maze.planner.policies import first_keyframes
from interdiff.maze.planner.settings import SamplingSettings
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline

FRAMES = 32
SIZE = {"d_model": 16, "depth": 1, "heads": 2}
NO_MASKS = Masks({}, {}, (4, 8, 16), 2.5, "linear")


def test_the_least_number_that_is_tolerable_is_taken():
    costs = {8: np.array([0.0, 0.1, 3.0]), 2: np.array([0.9, 2.0, 9.0]), 4: np.array([0.5, 1.0, 5.0])}
    assert least_counts(costs, 1.0).tolist() == [2, 4, 8]
    assert least_counts(costs, 0.2).tolist() == [8, 8, 8]
    assert least_counts(costs, 9.0).tolist() == [2, 2, 2]
    with pytest.raises(InputError, match="expected some"):
        least_counts({}, 1.0)


def test_costs_are_those_of_the_chosen_path_as_means_over_frames():
    cost = np.full((1, 4, 4), 8.0)
    costs = predicted_costs(cost, lambda k: np.linspace(0, 3, k).round().astype(int)[None], [2, 4])
    assert {k: value.tolist() for k, value in costs.items()} == {2: [2.0], 4: [6.0]}


def test_numbers_are_made_together_and_short_ones_repeat_their_last():
    assert [(k, rows.tolist()) for k, rows in groups(np.array([4, 2, 4]))] == [(2, [1]), (4, [0, 2])]
    assert padded(np.array([[0, 3]]), 4).tolist() == [[0, 3, 3, 3]]


@pytest.fixture
def auto(untrained_phases):
    phase1, refiner = untrained_phases(FRAMES)

    def planner(kind=AutoPlanner, **settings):
        how = SamplingSettings(keyframe_steps=2, refiner_steps=2, noise="none", **settings)
        return kind(phase1, refiner, how)

    return planner


@pytest.mark.parametrize("policy", ["selector", "uniform"])
def test_a_plan_with_k_keyframes_is_that_of_the_planner_of_k(auto, prepared_data, policy):
    data = prepared_data(FRAMES)
    data = data.subset(data.rows_of(0))
    planner = auto(k="auto", auto_counts=[4, 8], policy=policy)
    model = planner.phase1.segment_cost
    predicted = model.all_costs(model(data.condition(data.all_rows)).detach())
    four = auto(Planner, k=4, policy=policy).keyframes(data, None, torch.Generator())[0].numpy()
    cost = predicted_costs(predicted, lambda k: four, [4])[4]
    between = float(np.sort(cost)[:2].mean())
    planner = auto(k="auto", auto_counts=[8, 4], policy=policy, tolerance=between)
    indices, ranks = planner.keyframes(data, None, torch.Generator())
    counts = (ranks == 0).sum(1)
    assert sorted(counts.tolist()) == [4, 8, 8]
    assert counts.argmin() == cost.argmin()
    assert indices.shape == (3, 8)
    plans = planner.plan(data, data.all_rows, indices, ranks, torch.Generator().manual_seed(0), oracle=True)
    (row,) = (counts == 4).nonzero()[0].tolist()
    one = data.subset(torch.tensor([row]))
    alone = auto(Planner, k=4, policy=policy)
    its, its_ranks = alone.keyframes(one, None, torch.Generator())
    torch.testing.assert_close(indices[row, :4], its[0])
    assert (indices[row, 4:] == FRAMES - 1).all()
    expected = alone.plan(one, one.all_rows, its, its_ranks, torch.Generator(), oracle=True)
    torch.testing.assert_close(plans.refined[row], expected.refined[0])
    assert plans.keyframes.shape == (3, 8, 4)


def test_k_is_judged_by_the_keyframes_that_are_planned(auto, prepared_data, monkeypatch):
    """Chunk by chunk, whoever chose them."""
    monkeypatch.setattr("interdiff.maze.planner.kinds.auto.CHUNK", 2)
    data = prepared_data(FRAMES)
    data = data.subset(data.rows_of(0))
    best = {k: np.stack([np.linspace(0, FRAMES - 1, k).round().astype(int)] * len(data.states)) for k in (4, 8)}
    masks = replace(NO_MASKS, indices=best, costs={k: np.zeros(len(data.states)) for k in best})
    for policy in ("dp", "random"):
        planner = auto(k="auto", auto_counts=[4, 8], policy=policy, tolerance=1e9)
        first = auto(Planner, k=4, policy=policy).keyframes(data, masks, draws.generator_of(0))[0]
        indices, ranks = planner.keyframes(data, masks, draws.generator_of(0))
        assert ((ranks == 0).sum(1) == 4).all()
        assert torch.equal(indices[:, :4], first)
    with pytest.raises(InputError, match="policy 'nested': expected selector, dp, uniform or random"):
        first_keyframes("nested", 4, data, masks, np.random.default_rng(0))


def test_what_a_plan_costs_is_the_mean_over_plans(auto, prepared_data):
    data = prepared_data(FRAMES)
    data = data.subset(data.rows_of(0))

    def nfe(tolerance):
        planner = auto(k="auto", auto_counts=[4, 8], tolerance=tolerance)
        return function_evaluations(planner, data, NO_MASKS, torch.Generator().manual_seed(0))

    assert nfe(1e9) < nfe(0.0)


def test_numbers_that_no_network_knows_are_refused():
    def config(**sampling):
        return load_config({"maze": {"base": {"sampling": sampling}}})

    assert config(k="auto").maze.base.sampling.counts == [4, 8]
    with pytest.raises(InputError, match=r"sampling\.auto_counts: 5 is not among keyframes\.counts=\[4, 8\]"):
        config(k="auto", auto_counts=[4, 5])
    with pytest.raises(InputError, match="k: auto is for planner two_phase, not waypoints"):
        config(k="auto", planner="waypoints")


def test_rows_are_the_first_of_a_maze_or_one_of_each_of_a_family(prepared_data):
    data = prepared_data(FRAMES)
    assert data.first_rows("umaze_eval", 2).tolist() == [3, 4]
    family = replace(data, layouts=["cave-0", "cave-1"])
    assert family.first_rows("cave", 5).tolist() == [0, 3]
    assert family.rows_of_family("cave").tolist() == family.all_rows.tolist()


def test_the_picture_has_a_panel_per_figure_and_layout(tmp_path):
    row = {
        "layout": "large",
        "mse": 1.0,
        "mse_se": 0.1,
        "crossed": 0.1,
        "crossed_se": 0.0,
        "score": 200.0,
        "score_se": 2.0,
    }
    rows = [row | {"policy": "selector", "nfe": nfe} for nfe in (2.0, 3.0)]
    rows.append(row | {"policy": "full_sequence_t", "nfe": 4.0, "score": np.nan, "score_se": np.nan})
    budget_picture(pd.DataFrame(rows), tmp_path / "budget.png")
    assert (tmp_path / "budget.png").read_bytes().startswith(b"\x89PNG")


def test_ways_are_every_policy_at_every_number_and_each_tolerance():
    found = list(ways(BudgetSettings(policies=["selector", "dp"], tolerances=[0.1]), [4, 8]))
    assert [(way.policy, way.k) for way in found] == [
        ("selector", "4"), ("selector", "8"), ("dp", "4"), ("dp", "8"), ("auto", "auto"),
    ]  # fmt: skip


def test_the_mean_count_leaves_out_what_is_repeated():
    assert mean_count(np.array([[0, 2, 8], [0, 5, 8]])) == 3
    assert mean_count(np.array([[0, 8, 8], [0, 5, 8]])) == 2.5


def shipped(seeds=(), **counts):
    """The shipped maze pipeline, with further seeds of `budget` and other numbers of keyframes in budget.csv."""
    values = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())
    values["maze"]["seeds"]["budget"] = list(seeds)
    values["maze"]["report"]["budget"]["counts"] |= counts
    return MazePipeline(load_config(values).maze, "results", ".")


def refiners(maze):
    files = map(Path, maze.planning_files(planner.variant for planner in maze.budget_planners().values()))
    return {path.parent.name for path in files if path.parts[-3] == "refiner"}


def test_a_refiner_that_is_but_the_unit_of_compute_is_trained_once():
    maze = shipped(seeds=[1, 2], large_mazes=[])
    assert refiners(maze) == {"base", "budget", "budget_seed1", "budget_seed2"}
    folders = maze.folders("full_sequence_t")
    assert [own["refiner"] for own in folders] == ["maze/refiner/base"] * 3
    assert folders[1]["sequence_diffusion"] == "maze/sequence_diffusion/base_seed1"


def test_planners_of_other_mazes_have_rows_of_their_own():
    maze = shipped()
    told = maze.budget(None)
    assert told["maps"]["large_mazes"].keys() == {"random_16", "random_24", "random_32", "giant"}
    assert told["maps"]["two_phase"].keys() == {"umaze", "medium", "large"}
    assert told["beside"]["large_mazes"] == ["large_mazes_full_sequence_t"]
    assert len(told["beside"]["two_phase"]) == 5
    assert maze.budget_masks() == [f"results/maze/masks/{name}/test.npz" for name in ("large_mazes", "base")]
    assert refiners(shipped(two_phase=[])) == {"large_mazes"}
    with pytest.raises(InputError, match=r"report\.budget\.counts\.large_mazes: K=5 is not among keyframes\.counts of"):
        shipped(large_mazes=[5])
    with pytest.raises(InputError, match=r"report\.budget\.counts: 'best' is not among two_phase, "):
        shipped(best=[4])
    alone = {"planners": {"two_phase": {}, "other": {"variant": "own"}}}
    with pytest.raises(InputError, match=r"budget\.planners\.other: the data of own are those of none .* two_phase"):
        load_config({"maze": {"variants": {"own": {"data": {"seed": 1}}}, "report": {"budget": alone}}})
