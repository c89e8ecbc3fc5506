import h5py
import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.world.controller import generate
from interdiff.maze.world.d4rl import Stream, in_map, read_stream, read_streams, write_family, write_stream
from interdiff.maze.world.layouts import load_layout

LAYOUT = load_layout("umaze")


@pytest.fixture(scope="module")
def arrays():
    return generate(LAYOUT, 3000, seed=5)


def write_raw(path, arrays):
    """A file as D4RL writes it: datasets only, no attributes."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip")
    return path


def test_round_trip(tmp_path, arrays):
    path = tmp_path / "umaze.hdf5"
    write_stream(path, arrays, LAYOUT)
    stream = read_stream(path)
    assert set(stream.arrays) == set(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(stream.arrays[name], values)
    assert stream.layout.name == "umaze"
    assert stream.layout.ascii == LAYOUT.ascii
    np.testing.assert_array_equal(stream.ends, arrays["timeouts"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_family_is_one_file_of_streams(tmp_path, arrays):
    path, other = tmp_path / "family.hdf5", load_layout("umaze_eval", "b-10")
    write_family(path, [(arrays, load_layout("umaze", "b-9")), (arrays, other)])
    streams = read_streams(path)
    assert [stream.layout.name for stream in streams] == ["b-9", "b-10"]
    assert streams[1].layout.ascii == other.ascii
    for stream in streams:
        np.testing.assert_array_equal(stream.arrays["actions"], arrays["actions"])
    with pytest.raises(InputError, match=r"family.hdf5: not a D4RL file"):
        read_stream(path)


def test_a_file_of_one_maze_is_one_stream(tmp_path, arrays):
    write_stream(tmp_path / "umaze.hdf5", arrays, LAYOUT)
    (stream,) = read_streams(tmp_path / "umaze.hdf5")
    assert stream.layout.name == "umaze"


def test_real_files_have_no_attributes(tmp_path, arrays):
    assert read_stream(write_raw(tmp_path / "real.hdf5", arrays)).layout is None


def test_without_timeouts_the_goals_tell(tmp_path, arrays):
    without = {name: values for name, values in arrays.items() if name != "timeouts"}
    stream = read_stream(write_raw(tmp_path / "real.hdf5", without))
    np.testing.assert_array_equal(stream.arrays["timeouts"][:-1], arrays["timeouts"][:-1])
    np.testing.assert_array_equal(stream.ends[:-1], arrays["timeouts"][:-1])


def test_refreshed_observations_are_accepted(tmp_path, arrays):
    states = np.concatenate([arrays["infos/qpos"], arrays["infos/qvel"]], axis=1)
    stream = read_stream(write_raw(tmp_path / "real.hdf5", {**arrays, "observations": states}))
    np.testing.assert_array_equal(stream.states, states)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"absent.hdf5: no such file"):
        read_stream(tmp_path / "absent.hdf5")


def test_file_that_is_no_hdf5(tmp_path):
    path = tmp_path / "text.hdf5"
    path.write_text("<html>404 not found</html>")
    with pytest.raises(InputError, match=r"text.hdf5: not an HDF5 file"):
        read_stream(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_file(tmp_path, arrays, share):
    whole = write_raw(tmp_path / "whole.hdf5", arrays).read_bytes()
    path = tmp_path / "half.hdf5"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"half.hdf5: .*truncated"):
        read_stream(path)


def test_damaged_chunk(tmp_path, arrays):
    path = write_raw(tmp_path / "damaged.hdf5", arrays)
    with h5py.File(path, "r") as file:
        offset = file["actions"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 64)
    with pytest.raises(InputError, match=r"damaged.hdf5"):
        read_stream(path)


@pytest.mark.parametrize(
    ("kept", "missing"), [({"actions"}, "observations; it has actions"), ({"observations", "infos/qpos"}, "infos/qvel")]
)
def test_foreign_file_names_what_is_missing(tmp_path, arrays, kept, missing):
    path = write_raw(tmp_path / "foreign.hdf5", {name: arrays[name] for name in kept})
    with pytest.raises(InputError, match=rf"foreign.hdf5: .*missing {missing}"):
        read_stream(path)


def test_episodes_without_goals_end_where_they_were_going(tmp_path, arrays):
    """D4RL's common keys: observations are the states, an episode's end is its goal."""
    common = {name: arrays[name] for name in ("actions", "rewards", "terminals", "timeouts")}
    states = np.concatenate([arrays["infos/qpos"], arrays["infos/qvel"]], axis=1)
    stream = read_stream(write_raw(tmp_path / "common.hdf5", common | {"observations": states}))
    assert stream.hindsight
    np.testing.assert_array_equal(stream.states, states)
    np.testing.assert_array_equal(stream.ends, arrays["timeouts"])
    ends = np.flatnonzero(arrays["timeouts"])
    for first, last in zip(ends[:-1] + 1, ends[1:], strict=True):
        assert (stream.arrays["infos/goal"][first : last + 1] == states[last, :2]).all()


def moved(arrays, rows, by=1.0):
    """As if the ball had been put elsewhere before these rows."""
    shift = np.zeros((len(arrays["infos/qpos"]), 1), np.float32)
    for row in rows:
        shift[row:] = by - shift[row:]
    return arrays | {"infos/qpos": arrays["infos/qpos"] + shift}


def test_resets_are_flags_and_steps_that_no_motion_makes(arrays):
    nothing = np.zeros(len(arrays["timeouts"]), bool)
    assert not Stream(arrays, LAYOUT).resets.any()
    assert Stream(arrays, LAYOUT).simulated
    jumped = Stream(moved(arrays, [100, 1500]), LAYOUT)
    assert np.flatnonzero(jumped.resets).tolist() == [99, 1499]
    assert jumped.ends[[99, 1499]].all()
    for flag in ("terminals", "timeouts"):
        marked = nothing.copy()
        marked[1700] = True
        stream = Stream(arrays | {"timeouts": nothing, flag: marked}, LAYOUT)
        assert np.flatnonzero(stream.resets).tolist() == [1700]
        assert stream.ends[1700]


def test_time_and_place_of_a_file_from_outside(tmp_path, arrays):
    elsewhere = {name: values.copy() for name, values in arrays.items()}
    for name in ("infos/qpos", "infos/goal"):
        elsewhere[name] += 10 + 0.7
    elsewhere["observations"][:, :2] += 10 + 0.7
    path = write_raw(tmp_path / "far.hdf5", elsewhere)
    with pytest.raises(
        InputError, match=r"far.hdf5: 100% of its positions lie in walls of map 'umaze'; they go from .*origin"
    ):
        in_map(path, read_stream(path), LAYOUT, (-0.7, -0.7), None)
    stream = in_map(path, read_stream(path), LAYOUT, (10.0, 10.0), 0.05)
    np.testing.assert_allclose(stream.arrays["infos/qpos"], arrays["infos/qpos"], atol=1e-5)
    assert stream.dt == 0.05
    assert not stream.simulated
    write_stream(tmp_path / "umaze.hdf5", stream.arrays, LAYOUT, stream.dt)
    assert read_stream(tmp_path / "umaze.hdf5").dt == 0.05


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        (
            "observations",
            lambda v: np.concatenate([v, v], axis=1),
            r"observations has shape \(3000, 8\), expected \(3000, 4\)",
        ),
        ("actions", lambda v: v[:-1], r"actions has shape \(2999, 2\), expected \(3000, 2\)"),
        ("rewards", lambda v: v[:, None], r"rewards has shape \(3000, 1\)"),
        ("infos/qvel", lambda v: v * np.nan, "infos/qvel has values that are not finite"),
        (
            "observations",
            lambda v: v[:, [1, 0, 3, 2]],
            "observations.* differ from infos/qpos in .* rows, first in row 0",
        ),
        ("observations", lambda v: np.roll(v, 1, axis=0), "observations.* differ from infos/qpos"),
    ],
)
def test_inconsistent_arrays(tmp_path, arrays, key, change, message):
    path = write_raw(tmp_path / "odd.hdf5", {**arrays, key: change(arrays[key])})
    with pytest.raises(InputError, match=rf"odd.hdf5: {message}"):
        read_stream(path)


def test_values_that_are_no_numbers(tmp_path, arrays):
    path = tmp_path / "text.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = np.full(values.shape, b"x") if name == "actions" else values
    with pytest.raises(InputError, match=r"text.hdf5: actions has type"):
        read_stream(path)


def test_failed_write_leaves_the_earlier_file(tmp_path, arrays):
    path = tmp_path / "umaze.hdf5"
    write_stream(path, arrays, LAYOUT)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_stream(path, {**arrays, "zzz": np.array([object()])}, LAYOUT)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
