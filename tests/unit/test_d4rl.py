import h5py
import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.world.controller import generate
from interdiff.maze.world.d4rl import read_stream, read_streams, write_family, write_stream
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
    with pytest.raises(InputError, match=r"family.hdf5: not a D4RL Maze2D file"):
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


def test_foreign_file_names_what_is_missing(tmp_path, arrays):
    path = write_raw(tmp_path / "foreign.hdf5", {"observations": arrays["observations"], "actions": arrays["actions"]})
    with pytest.raises(
        InputError,
        match=r"foreign.hdf5: .*missing infos/goal, infos/qpos, infos/qvel; it has actions, observations",
    ):
        read_stream(path)


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
