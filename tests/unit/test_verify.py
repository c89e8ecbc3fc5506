import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from interdiff.errors import InputError
from interdiff.files import write_arrays, write_csv, write_json
from interdiff.workflow import verify as command_line
from interdiff.workflow.manifest import Manifest, describe, manifest_files, manifest_path, read_manifest, shapes
from interdiff.workflow.verify import verify

ROOT = Path(__file__).parents[2]
WEIGHTS = "maze/refiner/base/model.safetensors"
CONFIG = "maze/refiner/base/config.json"
DATA = "maze/prepared/base/train.npz"
SPLIT = "maze/prepared/base/val.npz"
TABLE = "maze/metrics.csv"
UNLISTED = {str(manifest_path(WEIGHTS)): (WEIGHTS, CONFIG), str(manifest_path(TABLE)): (TABLE,)}
"""Without its record, a file is not listed."""


def record(results, stage, outputs, inputs=()):
    hashes = {name: describe(results / name)["sha256"] for name in inputs}
    Manifest(stage, "1", {"stage": stage}, 0, hashes, {name: describe(results / name) for name in outputs}).write(
        results
    )


@pytest.fixture
def results(tmp_path):
    root = tmp_path / "results"
    for seed, name in enumerate((DATA, SPLIT)):
        write_arrays(root / name, {"x": np.random.default_rng(seed).random((50, 2)), "n": np.array(5 + seed)})
        record(root, "maze.prepare", [name])
    (root / WEIGHTS).parent.mkdir(parents=True)
    save_file({"w": np.ones((3, 4), np.float32)}, root / WEIGHTS)
    write_json(root / CONFIG, {"kind": "refiner", "model": {"width": 3}})
    record(root, "maze.refiner", [WEIGHTS, CONFIG], [DATA])
    write_csv(root / TABLE, [{"variant": "base", "mse": 1.25}])
    record(root, "maze.metrics", [TABLE], [WEIGHTS])
    for name in ("maze/logs/refiner/base.txt", "maze/benchmarks/metrics.tsv", "mlflow.db", ".state/1/state.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_sound_results_have_no_problems(results):
    assert verify(results) == (5, [])


def test_shapes_of_every_kind_of_array_file(results, tmp_path):
    assert shapes(results / DATA) == {"x": "float64[50, 2]", "n": "int64[]"}
    assert shapes(results / WEIGHTS) == {"w": "F32[3, 4]"}
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["group/rows"] = np.zeros((7, 2), np.float32)
    assert shapes(tmp_path / "a.hdf5") == {"group/rows": "float32[7, 2]"}
    assert shapes(results / TABLE) == {}


def truncate(results, name):
    content = (results / name).read_bytes()
    (results / name).write_bytes(content[: len(content) // 2])


def other_values(results, name):
    with np.load(results / name) as file:
        arrays = dict(file)
    arrays["x"][3, 1] += 1
    write_arrays(results / name, arrays)


def other_shape(results, name):
    save_file({"w": np.ones((3, 5), np.float32)}, results / name)


def swap(results, name):
    shutil.copy(results / SPLIT, results / name)


def edit(results, name):
    path = results / name
    path.write_text(path.read_text().replace("3", "4").replace("1.25", "1.00"))


def keep_time(damage):
    """An edit that leaves the file's time as it was, so that Snakemake does not see it."""

    def damaged(results, name):
        status = (results / name).stat()
        damage(results, name)
        os.utime(results / name, ns=(status.st_atime_ns, status.st_mtime_ns))

    return damaged


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        (truncate, WEIGHTS, "truncated, "),
        (truncate, DATA, "truncated, "),
        (truncate, TABLE, "truncated or edited, "),
        (keep_time(other_values), DATA, "edited: the shapes of its arrays are right, their values are not"),
        (other_shape, WEIGHTS, "edited or foreign: w is F32[3, 5], was F32[3, 4]"),
        (swap, DATA, f"foreign: it has the content of {SPLIT}"),
        (keep_time(edit), CONFIG, "edited, its content has changed"),
        (edit, TABLE, "edited, its content has changed"),
        (lambda root, name: (root / name).write_bytes(b"x" * 5000), DATA, "damaged, not a readable .npz file"),
        (lambda root, name: (root / name).unlink(), CONFIG, "missing"),
        (lambda root, name: (root / name).write_text("mine"), "maze/notes.txt", "no stage has recorded it"),
        (lambda root, name: (root / name).touch(), "maze/.metrics.0a1b2c3d.tmp.csv", "left by a stopped write"),
        (edit, str(manifest_path(WEIGHTS)), "not a usable record"),
        (truncate, str(manifest_path(TABLE)), "not a usable record"),
    ],
)
def test_a_bad_file_is_named(results, damage, name, message):
    damage(results, name)
    problems = dict(verify(results)[1])
    assert problems[name].startswith(message), problems
    assert set(problems) == {name, *UNLISTED.get(name, ())}


def test_what_was_made_from_another_input_is_named(results):
    other_values(results, DATA)
    record(results, "maze.prepare", [DATA])
    assert verify(results)[1] == [(WEIGHTS, f"made from another {DATA}")]


def test_a_copied_folder_is_foreign_and_a_removed_one_is_forgotten(results):
    shutil.copytree(results / "maze/refiner/base", results / "maze/refiner/copy")
    problems = dict(verify(results)[1])
    copied = str(manifest_path(WEIGHTS)).replace("base", "copy")
    assert problems[copied] == f"foreign: moved or copied here, it is the record of {WEIGHTS}"
    assert {name for name in problems if name != copied} == {name.replace("base", "copy") for name in (WEIGHTS, CONFIG)}
    shutil.rmtree(results / "maze/refiner/copy")
    shutil.rmtree(results / "maze/prepared")
    assert verify(results) == (3, [])


def test_an_unreadable_output_cannot_be_recorded(tmp_path):
    (tmp_path / "a.npz").write_text("no")
    with pytest.raises(InputError, match=r"a\.npz: not a readable \.npz file"):
        describe(tmp_path / "a.npz")


def test_a_record_that_is_being_written_is_none_yet(results):
    before = manifest_files(results)
    (before[0].parent / ".model.safetensors.0123abcd.tmp.json").write_text("{")
    assert manifest_files(results) == before


def test_a_record_reads_back(results):
    read = read_manifest(results / manifest_path(WEIGHTS))
    assert (read.stage, read.first, list(read.inputs)) == ("maze.refiner", WEIGHTS, [DATA])
    values = json.loads((results / manifest_path(WEIGHTS)).read_text())
    assert values["outputs"][WEIGHTS]["arrays"] == {"w": "F32[3, 4]"}


def test_the_command_line_names_and_counts(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "compare", lambda results, options: [])

    def run(*words):
        monkeypatch.setattr("sys.argv", ["verify", *map(str, words)])
        return command_line.main(), *capsys.readouterr()

    assert run(results)[0] == 0
    (results / CONFIG).unlink()
    code, out, _ = run(results)
    assert code == 1
    assert out.splitlines() == [f"{results / CONFIG}: missing", f"{results}: recorded files: 5, problems: 1"]
    assert run(tmp_path / "none") == (2, "", f"error: {tmp_path / 'none'}: no such folder of results\n")
