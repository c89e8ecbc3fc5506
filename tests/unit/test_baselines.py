from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.costs import counted_tokens
from interdiff.learning.training import Objective
from interdiff.maze.baselines.losses import BetweenStates, Windows, segment_loss, window_loss
from interdiff.maze.baselines.planners import (
    FullSequencePlanner,
    HierarchicalPlanner,
    load_baselines,
    load_segments,
    references,
    trained_layout,
)
from interdiff.maze.baselines.settings import BaselinesSettings
from interdiff.maze.baselines.window_diffusion import (
    SegmentDenoiser,
    WindowDenoiser,
    fill_segments,
    free_cells_of,
    held_entries,
    horizons_of,
    states_at,
    world_states,
)
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.world.controller import generate
from interdiff.maze.world.d4rl import Stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.sequences import prepare
from interdiff.maze.world.settings import DataSettings
from interdiff.settings import validated
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler

SIZE = {"d_model": 16, "depth": 1, "heads": 2}
HORIZONS = {"umaze": 30, "medium": 60}
LAYOUTS = [load_layout(name) for name in HORIZONS]
GRID, DT = 8, 0.01
STATES = np.array([[1.0, 1.1, 0.5, -2.0], [3.0, 1.0, 0.0, 1.0], [2.9, 2.8, 4.0, 0.0]])
GOALS = np.array([[3.0, 3.0], [1.0, 3.0], [1.1, 1.0]])


@pytest.fixture(scope="module")
def streams():
    return [(layout, Stream(generate(layout, 6000, seed), layout)) for seed, layout in enumerate(LAYOUTS)]


@pytest.fixture(scope="module")
def windows(streams, tmp_path_factory):
    """Prepared windows of another horizon in each layout: the file and what it holds."""
    path = tmp_path_factory.mktemp("windows") / "train.npz"
    splits, _ = prepare(streams, DataSettings(mode="windows", horizon=HORIZONS, cross_goals=True, frames=61, blocks=5))
    write_arrays(path, splits["train"])
    return path, load_prepared(path, torch.device("cpu"))


def settings(batch_size=8):
    return SimpleNamespace(training=SimpleNamespace(batch_size=batch_size))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def window_model(interval=2):
    torch.manual_seed(0)
    return WindowDenoiser(interval, HORIZONS, {"umaze": 7, "medium": 26}, GRID, **SIZE).eval()


def segment_model(interval=15):
    torch.manual_seed(0)
    return SegmentDenoiser(interval, GRID, **SIZE).eval()


def planner(kind):
    if kind == "full_sequence":
        return FullSequencePlanner(window_model(), {"umaze": 2, "medium": 3})
    return HierarchicalPlanner(window_model(15), segment_model(), {"umaze": 2, "medium": 3}, fill_steps=2)


def test_each_layout_has_its_own_horizon(windows):
    path, data = windows
    assert horizons_of(path) == HORIZONS
    assert free_cells_of(data) == {"umaze": 7, "medium": 26}


def test_a_layout_without_a_horizon_takes_that_of_the_map_nearest_in_size(streams):
    splits, _ = prepare(streams, DataSettings(mode="windows", horizon={"umaze": 30, "large": 60}))
    steps = np.round(splits["train"]["duration"] * 100)
    assert {name: set(steps[splits["train"]["layout"] == n]) for n, name in enumerate(("umaze", "medium"))} == {
        "umaze": {30},
        "medium": {30},
    }


def test_windows_are_the_rows_of_the_stream(windows, streams):
    _, data = windows
    row = int(np.load(windows[0])["first_row"][data.rows_of(1)[0]])
    states = world_states(data.states[data.rows_of(1)[0]], GRID, 60 * DT)
    truth = streams[1][1].states[row : row + 61].copy()
    truth[:, :2] += 0.7
    np.testing.assert_allclose(states, truth, atol=1e-4)


def test_small_batches_take_some_layouts_each_with_its_own_horizon(windows):
    data, model, seen = windows[1], window_model(), set()
    for seed in range(8):
        (batch,) = Windows(data, model, 2, keyframe_scheduler()).draw(seeded(seed), 0.0)
        name = next(name for name in HORIZONS if model.times(name).numel() == batch.clean.shape[1])
        assert torch.equal(batch.condition.occupancy[0], data.occupancy[data.layouts.index(name)])
        seen.add(name)
    assert seen == set(HORIZONS)


def test_sequences_of_many_durations_are_refused(streams, tmp_path):
    write_arrays(tmp_path / "train.npz", prepare(streams, DataSettings())[0]["train"])
    with pytest.raises(InputError, match="expected windows"):
        horizons_of(tmp_path / "train.npz")


def test_a_horizon_is_a_multiple_of_the_interval():
    with pytest.raises(InputError, match="umaze: 30 steps are not a multiple of interval=7"):
        window_model(interval=7)


def test_states_between_frames_are_linear():
    ramp = torch.arange(5.0)[None, :, None].expand(2, -1, 4)
    frames = torch.tensor([[0.0, 0.25, 3.5, 4.0]]).expand(2, -1)
    torch.testing.assert_close(states_at(ramp, frames)[..., 0], frames)


def test_the_start_state_and_the_goal_position_are_held(windows):
    _, data = windows
    rows = data.rows_of(0)[:3]
    values, known = held_entries(data.condition(rows), 16, 30 * DT)
    assert known[:, 0].all()
    assert known[:, -1].tolist() == [[True, True, False, False]] * 3
    assert not known[:, 1:-1].any()
    truth = (data.states[rows][:, [0, -1]] - torch.tensor([0.5, 0.5, 0, 0])) * torch.tensor([5, 5, 1.5, 1.5])
    torch.testing.assert_close(values[:, 0], truth[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(values[:, -1, :2], truth[:, 1, :2])


@pytest.mark.parametrize("kind", ["windows", "segments"])
def test_training_lowers_the_loss(windows, kind):
    _, data = windows
    model = (window_model(5) if kind == "windows" else segment_model(5)).train()
    if kind == "windows":
        loss = Objective(Windows(data, model, settings().training.batch_size, keyframe_scheduler()).draw, window_loss)
    else:
        batches = BetweenStates(data, HORIZONS, model, settings().training.batch_size, keyframe_scheduler())
        loss = Objective(batches.draw, segment_loss)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)

    def mean_loss():
        with torch.no_grad():
            return float(torch.stack([loss(model, seeded(seed), 0.0)["loss"] for seed in range(1000, 1010)]).mean())

    before = mean_loss()
    generator = seeded()
    for _ in range(60):
        optimizer.zero_grad()
        loss(model, generator, 0.0)["loss"].backward()
        optimizer.step()
    assert mean_loss() < 0.8 * before


def test_local_coordinates_go_to_and_fro():
    model, states = segment_model(), torch.randn(4, 16, 4, generator=seeded())
    torch.testing.assert_close(model.from_local(model.to_local(states), states[:, 0]), states)


def test_filled_segments_pass_through_the_subgoals(windows):
    _, data = windows
    model, subgoals = segment_model(), torch.randn(3, 5, 4, generator=seeded())
    condition = data.condition(data.rows_of(0)[:3])
    filled = fill_segments(model, keyframe_scheduler(), condition, subgoals, 2, seeded())
    assert filled.shape == (3, 61, 4)
    torch.testing.assert_close(filled[:, ::15], subgoals)


@pytest.mark.parametrize("kind", ["full_sequence", "hierarchical"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_plans_go_from_start_to_goal_in_the_horizon(kind, layout):
    plans = planner(kind).plan(layout, STATES, GOALS, seeded())
    assert len(plans) == len(STATES)
    for plan, state, goal in zip(plans, STATES, GOALS, strict=True):
        assert plan.positions.shape == plan.velocities.shape == (HORIZONS[layout.name] + 1, 2)
        np.testing.assert_allclose(plan.positions[0], state[:2], atol=1e-5)
        np.testing.assert_allclose(plan.velocities[0], state[2:], atol=1e-4)
        np.testing.assert_allclose(plan.positions[-1], goal, atol=1e-5)
        assert np.isfinite(plan.positions).all()


@pytest.mark.parametrize("kind", ["full_sequence", "hierarchical"])
def test_plans_follow_their_seed(kind):
    plans = [planner(kind).plan(LAYOUTS[0], STATES, GOALS, seeded(seed))[0].positions for seed in (0, 0, 1)]
    np.testing.assert_array_equal(plans[0], plans[1])
    assert not np.allclose(plans[0], plans[2])


def evaluations(planner, layout):
    return counted_tokens(lambda: planner.plan(layout, STATES[:1], GOALS[:1], seeded()))


def test_evaluations_are_tokens_times_steps():
    umaze, medium = LAYOUTS
    full, hierarchical = planner("full_sequence"), planner("hierarchical")
    assert [evaluations(full, umaze), evaluations(full, medium)] == [2 * 16, 3 * 31]
    assert evaluations(hierarchical, medium) == 3 * 5 + 2 * 4 * 16
    assert evaluations(FullSequencePlanner(window_model(), 1), umaze) == 16
    # A layout without a number takes that of the map nearest in size.
    assert evaluations(FullSequencePlanner(window_model(), {"umaze": 2}), medium) == 2 * 31
    with pytest.raises(InputError, match=r"no number for layout 'medium' or a map of D4RL's among mine"):
        evaluations(FullSequencePlanner(window_model(), {"mine": 2}), medium)


def test_an_unseen_layout_takes_the_horizon_of_the_nearest_in_size():
    model = window_model()
    assert trained_layout(model, load_layout("medium_eval")) == "medium"
    assert trained_layout(model, load_layout("umaze_eval")) == "umaze"
    plans = planner("full_sequence").plan(load_layout("umaze_eval"), STATES[:1], GOALS[:1], seeded())
    assert len(plans[0].positions) == 31


def test_both_levels_must_fit():
    with pytest.raises(InputError, match="interval: 15 of the sub-goals' network, 5 of the segments'"):
        HierarchicalPlanner(window_model(15), segment_model(5), 2, 2)


def test_references_are_in_joint_coordinates():
    (reference,) = references(torch.tensor([[[1.7, 2.7, 0.5, -1.0]] * 3]))
    np.testing.assert_allclose(reference.positions, [[1.0, 2.0]] * 3, atol=1e-6)
    np.testing.assert_allclose(reference.velocities, [[0.5, -1.0]] * 3)


def save(folder, model, kind):
    names = ("interval", "horizons", "free_cells", "grid") if kind == "window_diffusion" else ("interval", "grid")
    config = {name: getattr(model, name) for name in names} | SIZE
    folder.mkdir(exist_ok=True)
    files = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    outputs = {name: folder / file for name, file in files.items()}
    save_checkpoint(outputs, model, {"kind": kind, "model": config}, [{"step": 1}])


def test_the_configured_peers_come_from_their_checkpoints(tmp_path):
    for name in ("full_sequence", "few_steps", "subgoals"):
        save(tmp_path / name, window_model(15 if name == "subgoals" else 2), "window_diffusion")
    save(tmp_path / "segments", segment_model(), "segment_fill")
    steps = {"full_sequence": {"steps": {"medium": 5}}, "hierarchical": {"steps": 4, "fill_steps": 3}}
    asked = validated(BaselinesSettings, steps)
    full, few, hierarchical = load_baselines(asked, lambda name: tmp_path / name, torch.device("cpu"))
    assert [p.name for p in (full, few, hierarchical)] == ["full_sequence", "full_sequence_few_steps", "hierarchical"]
    assert [evaluations(p, LAYOUTS[1]) for p in (full, few)] == [5 * 31, 2 * 31]
    assert evaluations(hierarchical, LAYOUTS[1]) == 4 * 5 + 3 * 4 * 16
    assert full.parameters == sum(p.numel() for p in window_model().parameters())
    assert hierarchical.parameters > full.parameters
    assert torch.equal(full.model.head.weight, window_model().head.weight)
    with pytest.raises(InputError, match="window_diffusion"):
        load_segments(tmp_path / "subgoals", torch.device("cpu"))
