import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.world.collisions import piece_collisions
from interdiff.maze.world.controller import generate
from interdiff.maze.world.d4rl import Stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.sequences import SPLITS, block_splits, mirror_y, prepare, segment_spans, window_spans
from interdiff.maze.world.settings import DataSettings

ROWS = 20_000
DTYPES = {
    "simulated": bool,
    "layout": np.int16,
    "first_row": np.int64,
    "occupancy": np.uint8,
    "flip_y": bool,
}


@pytest.fixture(scope="module")
def streams():
    layouts = [load_layout(name) for name in ("umaze", "medium", "large_eval")]
    return [(layout, Stream(generate(layout, ROWS, seed), layout)) for seed, layout in enumerate(layouts)]


@pytest.fixture(scope="module")
def prepared(streams):
    return prepare(streams, DataSettings())


def joined(splits, key):
    return np.concatenate([splits[name][key] for name in SPLITS])


def test_arrays_are_those_of_the_contract(prepared):
    splits, _ = prepared
    for data in splits.values():
        count = len(data["positions"])
        shapes = {
            "positions": (count, 128, 2),
            "velocities": (count, 128, 2),
            "start": (count, 4),
            "goal": (count, 2),
        }
        shapes |= {"target": (count, 2), "duration": (count,), "layout": (count,), "first_row": (count,)}
        shapes |= {
            "layouts": (3,),
            "occupancy": (3, 12, 12),
            "sdf": (3, 96, 96),
            "simulated": (3,),
            "flip_y": (),
            "grid": (),
        }
        assert {key: values.shape for key, values in data.items()} == shapes
        assert data["layouts"].tolist() == ["umaze", "medium", "large_eval"]
        assert data["layouts"].dtype.kind == "U"
        assert data["grid"] == 12
        assert not data["flip_y"]
        for key in set(data) - {"layouts", "grid"}:
            assert data[key].dtype == DTYPES.get(key, np.float32), key
        order = data["layout"].astype(np.int64) * ROWS + data["first_row"]
        assert (np.diff(order) > 0).all()


@pytest.mark.parametrize("options", [{}, {"mode": "windows", "horizon": 64}, {"mode": "windows", "cross_goals": True}])
def test_ground_truth_is_free_of_collisions(streams, options):
    splits, _ = prepare(streams, DataSettings(**options))
    for data in splits.values():
        assert not piece_collisions(data["positions"], data["occupancy"][data["layout"]]).any()


def test_segments_start_and_end_on_their_rows(streams, prepared):
    splits, _ = prepared
    for name in SPLITS:
        data = splits[name]
        steps = np.round(data["duration"] * 100).astype(int)
        for number in range(len(steps)):
            states = streams[data["layout"][number]][1].states
            first, last = data["first_row"][number], data["first_row"][number] + steps[number]
            np.testing.assert_allclose(
                data["positions"][number, [0, -1]] * 12 - 0.7, states[[first, last], :2], atol=2e-6
            )
            np.testing.assert_array_equal(data["start"][number, 2:], states[first, 2:])
    np.testing.assert_array_equal(joined(splits, "start")[:, :2], joined(splits, "positions")[:, 0])
    goal = joined(splits, "goal")
    np.testing.assert_array_equal(goal, joined(splits, "positions")[:, -1])
    assert (np.linalg.norm(goal * 12 - 0.7 - joined(splits, "target"), axis=1) < 0.1001).all()


def test_velocities_are_derivatives_by_relative_time(prepared):
    splits, _ = prepared
    positions, velocities = joined(splits, "positions"), joined(splits, "velocities")
    differences = np.diff(positions.astype(np.float64), axis=1) * 127
    middle = (velocities[:, 1:] + velocities[:, :-1]) / 2
    # The simulated velocities lag by half a step.
    assert np.abs(differences - middle).mean() < 0.05 * np.abs(middle).mean()
    duration = joined(splits, "duration")
    np.testing.assert_allclose(
        velocities[:, 0] * 12 / duration[:, None], joined(splits, "start")[:, 2:], rtol=1e-5, atol=1e-5
    )


def test_every_segment_is_kept_or_counted(streams, prepared):
    _, counts = prepared
    for layout, stream in streams:
        assert sum(counts[layout.name].values()) == stream.ends.sum()
        assert counts[layout.name]["target not reached"] == 0
    assert counts["umaze"]["shorter than 16 steps"] > 0


def test_min_steps(streams):
    spans = segment_spans(streams[0][1], 60)
    assert (spans.last - spans.first).min() >= 60
    assert len(spans.first) + sum(spans.dropped.values()) == streams[0][1].ends.sum()


def test_given_up_targets_are_dropped(streams):
    layout, stream = streams[0]
    arrays = dict(stream.arrays)
    arrays["infos/goal"] = arrays["infos/goal"].copy()
    first = np.flatnonzero(stream.ends)[3] + 1
    arrays["infos/goal"][first : first + 20] += 1e-3  # target changed after 20 steps, not where it was reached
    assert segment_spans(Stream(arrays, layout), 16).dropped["target not reached"] == 1


def test_splits_are_whole_blocks(prepared):
    splits, _ = prepared
    for number in range(3):
        owner = {}
        for name in SPLITS:
            data = splits[name]
            chosen = data["layout"] == number
            last = data["first_row"][chosen] + np.round(data["duration"][chosen] * 100).astype(int)
            first_block, last_block = data["first_row"][chosen] * 20 // ROWS, last * 20 // ROWS
            np.testing.assert_array_equal(first_block, last_block)
            assert all(owner.setdefault(block, name) == name for block in first_block.tolist())
        assert len(owner) == 20


def test_whole_mazes_can_be_held_out(streams):
    splits, counts = prepare(streams, DataSettings(hold_out="mazes", val_fraction=0.3, test_fraction=0.3))
    held = {name: set(splits[name]["layout"].tolist()) for name in SPLITS}
    assert sorted(number for numbers in held.values() for number in numbers) == [0, 1, 2]
    assert all(len(numbers) == 1 for numbers in held.values())
    assert {reasons["straddling a block border"] for reasons in counts.values()} == {0}


def test_block_splits():
    splits = block_splits(20, 0.05, 0.10, seed=0)
    assert np.bincount(splits).tolist() == [17, 1, 2]
    assert (splits != block_splits(20, 0.05, 0.10, seed=1)).any()
    with pytest.raises(InputError, match="no block left to train on"):
        block_splits(2, 0.05, 0.10, seed=0)


def test_windows_stay_with_one_target(streams):
    stream = streams[1][1]
    spans = window_spans(stream, horizon=64, stride=8, cross_goals=False)
    assert len(spans.first) > 100
    assert (spans.last - spans.first == 64).all()
    for first, last in zip(spans.first, spans.last, strict=True):
        assert not stream.ends[first:last].any()
    goals = stream.arrays["infos/goal"]
    np.testing.assert_array_equal(goals[spans.first], goals[spans.last])


def test_windows_cross_only_when_told(streams):
    stream = streams[1][1]
    spans = window_spans(stream, horizon=64, stride=8, cross_goals=True)
    assert len(spans.first) == len(range(0, ROWS - 64, 8))
    assert any(stream.ends[first:last].any() for first, last in zip(spans.first, spans.last, strict=True))


def test_window_of_as_many_steps_as_pieces_is_the_rows_themselves(streams):
    splits, _ = prepare(streams, DataSettings(mode="windows", frames=65, horizon=64))
    data = splits["test"]
    for number in range(0, len(data["first_row"]), 5):
        states = streams[data["layout"][number]][1].states[data["first_row"][number] :][:65]
        np.testing.assert_allclose(data["positions"][number] * 12 - 0.7, states[:, :2], atol=2e-6)


def test_flip_y_mirrors_everything_and_back(streams, prepared):
    plain, mirrored = prepared[0]["val"], prepare(streams, DataSettings(flip_y=True))[0]["val"]
    assert mirrored["flip_y"]
    np.testing.assert_array_equal(mirrored["positions"][..., 0], plain["positions"][..., 0])
    np.testing.assert_array_equal(mirrored["positions"][..., 1], 1 - plain["positions"][..., 1])
    np.testing.assert_array_equal(mirrored["goal"], mirrored["positions"][:, -1])
    np.testing.assert_array_equal(mirrored["start"][:, :2], mirrored["positions"][:, 0])
    np.testing.assert_array_equal(mirrored["start"][:, 3], -plain["start"][:, 3])
    np.testing.assert_array_equal(mirrored["velocities"][..., 1], -plain["velocities"][..., 1])
    assert not piece_collisions(mirrored["positions"], mirrored["occupancy"][mirrored["layout"]]).any()
    target = mirrored["target"].astype(int)
    assert not mirrored["occupancy"][mirrored["layout"], target[:, 0], target[:, 1]].any()
    walls = mirrored["occupancy"].repeat(8, axis=1).repeat(8, axis=2)
    np.testing.assert_array_equal(mirrored["sdf"] < 0, walls > 0)
    again = mirror_y(mirrored)
    for key, values in plain.items():
        if key != "layouts":
            np.testing.assert_allclose(again[key], values, atol=1e-7)


def test_windows_and_segments_never_cross_a_reset(streams):
    layout, stream = streams[1]
    shift = np.zeros_like(stream.arrays["infos/qpos"])
    shift[5000:] = 1  # put elsewhere, with no flag
    jumped = Stream(dict(stream.arrays) | {"infos/qpos": stream.arrays["infos/qpos"] + shift}, layout)
    for cross_goals in (False, True):
        spans = window_spans(jumped, horizon=64, stride=8, cross_goals=cross_goals)
        assert not ((spans.first < 5000) & (spans.last >= 5000)).any()
        assert spans.dropped["crossing a reset"] == 8
    spans = segment_spans(jumped, 16, reach=100)
    assert not ((spans.first < 5000) & (spans.last >= 5000)).any()


def test_goals_are_positions(streams):
    """Goals that the ball came to are as good off the centres of cells as on them."""
    layout, stream = streams[0]
    arrays = dict(stream.arrays) | {"infos/goal": stream.arrays["infos/goal"].copy()}
    ends = np.flatnonzero(stream.ends)
    for first, last in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
        arrays["infos/goal"][first : last + 1] = stream.states[last, :2] + 0.05
    arrays["timeouts"] = stream.ends
    spans = segment_spans(Stream(arrays, layout), 16)
    assert spans.dropped["target not reached"] == 0
    arrays["infos/goal"] += 0.4
    with pytest.raises(InputError, match=r"target not reached: \d+.*within data.reach"):
        prepare([(layout, Stream(arrays, layout))], DataSettings())
    splits, _ = prepare([(layout, Stream(arrays, layout))], DataSettings(reach=1))
    away = np.linalg.norm(joined(splits, "goal") * 5 - 0.7 - joined(splits, "target"), axis=1)
    assert 0.6 < away.max() < 0.7


def test_time_between_rows_is_the_streams(streams):
    layout, stream = streams[0]
    slow, _ = prepare([(layout, Stream(stream.arrays, layout, dt=0.05))], DataSettings())
    splits, _ = prepare([(layout, stream)], DataSettings())
    np.testing.assert_allclose(joined(slow, "duration"), 5 * joined(splits, "duration"), rtol=1e-5)
    assert not slow["train"]["simulated"].any()


def test_a_few_colliding_sequences_are_dropped_and_counted(streams):
    layout, stream = streams[0]
    arrays = dict(stream.arrays) | {"infos/qpos": stream.arrays["infos/qpos"].copy()}
    spans = segment_spans(stream, 16)
    longest = np.argmax(spans.last - spans.first)
    rows = slice(spans.first[longest], spans.last[longest] + 1)
    bump = 1.5 * np.sin(np.linspace(0, np.pi, len(stream.states[rows])))  # into a wall and back
    arrays["infos/qpos"][rows] += bump[:, None]
    splits, counts = prepare([(layout, Stream(arrays, layout))], DataSettings(frames=2000))
    assert counts["umaze"]["leaving free space"] == 1
    assert spans.first[longest] not in joined(splits, "first_row")
    assert sum(counts["umaze"].values()) == stream.ends.sum()
    with pytest.raises(InputError, match=r"1 of \d+ sequences are of no use .leaving free space: 1.*fraction=0\.001"):
        prepare([(layout, Stream(arrays, layout))], DataSettings(frames=2000, left_out_fraction=0.001))


def test_data_of_another_map_is_refused(streams):
    with pytest.raises(
        InputError,
        match=r"layout 'umaze': \d+ of \d+ sequences are of no use .leaving free space: \d+.*this very map",
    ):
        prepare([(load_layout("umaze"), streams[1][1])], DataSettings())


def test_empty_split_is_refused(streams):
    with pytest.raises(InputError, match="split 'train' is empty"):
        prepare(streams, DataSettings(min_steps=5000))
