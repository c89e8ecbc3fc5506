import errno

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.files import atomic_path, file_sha256, read_json, write_arrays, write_csv, write_json
from interdiff.tables import read_table


def test_a_file_appears_whole_and_leaves_nothing_behind(tmp_path):
    with atomic_path(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "deep" / "a.txt").exists()
        assert temporary.suffix == ".txt"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]


def test_an_error_keeps_the_older_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("I/O: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_names_the_file(tmp_path, error):
    path = tmp_path / "a.txt"
    with pytest.raises(InputError, match=r"a\.txt: no space left on the disk"), atomic_path(path):
        raise error
    assert not list(tmp_path.iterdir())


def test_json_and_csv_round_trip(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1})
    assert read_json(tmp_path / "a.json") == {"b": 1}
    write_csv(tmp_path / "a.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "lr": 0.1}])
    assert (tmp_path / "a.csv").read_text() == "step,loss,lr\n1,0.5,\n2,,0.1\n"
    assert read_table(tmp_path / "a.csv", text=True).iloc[0].to_dict() == {"step": "1", "loss": "0.5", "lr": ""}


def test_bad_files_are_named(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json"):
        read_json(tmp_path / "bad.json")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty\.csv"):
        read_table(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="none"):
        file_sha256(tmp_path / "none")
    with pytest.raises(InputError, match="unexpected column 'b'"):
        write_csv(tmp_path / "a.csv", [{"a": 1, "b": 2}], columns=["a"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_plans_and_clips_that_are_not_finite_are_not_written(tmp_path, bad):
    values = {"refined": np.array([1.0, bad], np.float16), "indices": np.arange(3)}
    with pytest.raises(InputError, match=r"x.npz: refined: 1 of 2 values are not finite"):
        write_arrays(tmp_path / "x.npz", values, finite=True)
    assert not list(tmp_path.iterdir())
    write_arrays(tmp_path / "x.npz", values)
