"""Stages killed at random points, killed and second `snakemake`s: a plain restart ends with an uninterrupted run's bytes."""

import csv
import json
import os
import random
import re
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import config, copy, equally_spaced, smooth_sequences
from forking import forking

SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
LIBRARIES = ("accelerate", "numba", "pandas", "pydantic", "torch._dynamo")
STAGES = ("segment_cost", "selector", "keyframes", "refiner")
WALL_TIME = ("steps_per_s", "samples_per_s", "peak_memory_mb")
NETWORK = {"d_model": 16, "depth": 1, "heads": 2}
TRAINING = {"steps": 30, "batch_size": 4, "warmup_steps": 3, "save_every": 3, "log_every": 2, "ema_decay": 0.5}
SETTINGS = {
    "data": {"layouts": ["umaze"], "frames": 32},
    "masks": {"levels": [2, 4, 8, 16], "nested_levels": [4, 8, 16]},
    "segment_cost": {"network": NETWORK, "pairs": 8, "training": TRAINING},
    "selector": {"training": TRAINING},
    "keyframes": {"network": NETWORK, "counts": [4], "training": TRAINING},
    "anchors": {"policies": ["selector", "uniform"], "counts": [4]},
    "refiner": {"network": NETWORK, "training": TRAINING},
    "sampling": {"k": 4, "n_per_layout": 4},
}

# Jobs run this in place of the stage's module. It counts the lines that a stage executes in the modules that keep progress and
# write files; at the line that `point.json` names it sends itself a signal, or (0) waits for the file `go`.
SHIM = """
import json
import os
import runpy
import sys
import time
from pathlib import Path

ROOT = os.getcwd()

import interdiff.workflow.runner

MODULES = ("state", "files", "training", "checkpoint", "manifest", "runner", "locks")
POINT = json.loads(Path("point.json").read_text())
places = []


def act():
    Path("acted").write_text(f"{os.getpid()} {places[-1]}")
    if POINT["signal"]:
        os.kill(os.getpid(), POINT["signal"])
    while not POINT["signal"] and not Path("go").exists():
        time.sleep(0.02)


def line(frame, event, argument):
    if event == "line":
        places.append(f"{Path(frame.f_code.co_filename).stem}:{frame.f_lineno}")
        if len(places) == POINT["line"]:
            act()
    return line


def call(frame, event, argument):
    code = frame.f_code
    # Once per tensor, or when time has passed.
    skipped = code.co_name.startswith("<") or code.co_name in ("encode", "unflatten", "write", "display")
    if skipped or not code.co_filename.startswith(ROOT):
        return None
    return line if Path(code.co_filename).stem in MODULES else None


def traced(*arguments, run=interdiff.workflow.runner.run_stage):
    sys.settrace(call)
    try:
        run(*arguments)
    except SystemExit as end:
        sys.settrace(None)
        Path("ended.json").write_text(json.dumps({"code": end.code, "places": places}))
        raise


interdiff.workflow.runner.run_stage = traced
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Runs:
    """A copy of the repository with toy inputs: plain `snakemake` of one stage's checkpoint, and stops of its job."""

    def __init__(self, repository):
        self.repository = repository
        self.folder = repository.folder
        self._uninterrupted = {}

    def command(self, stage, *options, results="results"):
        return ("snakemake", "--nocolor", f"{results}/maze/{stage}/base/model.safetensors", *options)

    def plan(self, line=0, number=signal.SIGKILL):
        """Stop the next job at a line, counted from 1."""
        for name in ("acted", "ended.json", "go"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "point.json").write_text(json.dumps({"line": line, "signal": int(number)}))

    def finish(self, stage, *options):
        """Run to the end as a user would; the files and the lines executed."""
        self.plan()
        code, text = self.repository.run(*self.command(stage, *options))
        assert code == 0, text
        return self.files(stage)

    def uninterrupted(self, stage):
        if stage not in self._uninterrupted:
            files = self.finish(stage)
            places = json.loads((self.folder / "ended.json").read_text())["places"]
            self._uninterrupted[stage] = files, places
        return self._uninterrupted[stage]

    def exit_code(self):
        """Of the last job; None if a signal ended it."""
        path = self.folder / "ended.json"
        return json.loads(path.read_text())["code"] if path.exists() else None

    def log(self, stage):
        path = self.folder / f"results/maze/logs/{stage}/base.txt"
        return path.read_text() if path.exists() else ""

    def files(self, stage):
        """Everything a checkpoint's folder holds but for records of the run, and its history without wall time."""
        folder = self.folder / f"results/maze/{stage}/base"
        files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        with (folder / "history.csv").open(newline="") as stream:
            rows = [{k: v for k, v in row.items() if k not in WALL_TIME} for row in csv.DictReader(stream)]
        timed = {"run.json", ".manifest/model.safetensors.json"}
        return files | {"history.csv": rows} | dict.fromkeys(timed & files.keys())


def traced(folder, python):
    """A copy of the repository whose jobs are traced."""
    repository = copy(folder, f'#!/bin/sh\nexec {python} -m traced "$@"\n')
    (folder / "traced.py").write_text(SHIM)
    return repository


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    with forking(tmp_path_factory.mktemp("bin"), LIBRARIES) as program:
        yield program


@pytest.fixture(scope="module")
def runs(tmp_path_factory, python):
    print(f"KILL_SEED={SEED}")
    repository = traced(tmp_path_factory.mktemp("repo"), python)

    def small(maze):
        maze["base"] |= {name: maze["base"][name] | values for name, values in SETTINGS.items()}
        maze |= {
            "variants": {},
            "seeds": {},
            "report": {"variants": ["base"], "budget": {"counts": {"two_phase": [4]}}},
        }

    repository.edit("config.yaml", config(small))
    repository.edit("config.yaml", lambda text: text.replace("enabled: true", "enabled: false"))
    repository.edit("config.yaml", lambda text: text.replace("threads: 2", "threads: 1"))
    inputs(repository.folder / "results/maze")
    return Runs(repository)


def inputs(folder):
    """Prepared data and masks of an empty maze, where the pipeline would have made them."""
    data = smooth_sequences(["umaze"], rows=16)
    arrays = {"prepared/base": data, "masks/base": equally_spaced(data, [4, 8], [4, 8, 16])}
    (folder / "demonstrations").mkdir(parents=True)
    (folder / "demonstrations/umaze.hdf5").touch()
    for name, values in arrays.items():
        (folder / name).mkdir(parents=True)
        for split in ("train", "val", "test"):
            np.savez(folder / name / f"{split}.npz", **values)


@pytest.mark.parametrize(
    ("stage", "kills", "terminations"),
    [("segment_cost", 3, 1), *(pytest.param(stage, 6, 3, marks=pytest.mark.full) for stage in STAGES)],
)
def test_a_stopped_stage_ends_with_the_same_bytes(runs, stage, kills, terminations):
    expected, places = runs.uninterrupted(stage)
    rng = random.Random(f"{SEED} {stage}")
    signals = [signal.SIGKILL] * kills + [signal.SIGTERM] * terminations
    rng.shuffle(signals)
    # The first in a save, late enough for progress to have been kept.
    saves = [n for n, place in enumerate(places, 1) if place.startswith("state:") and n > len(places) // 3]
    line, left, options, stops, resumed = rng.choice(saves), len(places), ["--force"], [], set()
    while len(stops) < len(signals):
        number = signals[len(stops)]
        runs.plan(line, number)
        code, text = runs.repository.run(*runs.command(stage, *options))
        resumed |= set(re.findall(r"training goes on at step (\d+)", runs.log(stage)))
        acted = runs.folder / "acted"
        if acted.exists():
            stops.append(f"{number.name} {acted.read_text().split()[1]}")
        if code == 0:
            assert runs.files(stage) == expected, (SEED, stops)
        elif number == signal.SIGTERM:
            assert runs.exit_code() in (143, None), text
        else:
            assert acted.exists(), text
        options = [] if code else ["--force"]
        left = max(left - line, len(places) // 3) if code else len(places)
        line = rng.randrange(1, left)
    assert runs.finish(stage) == expected, (SEED, stops)
    resumed |= set(re.findall(r"training goes on at step (\d+)", runs.log(stage)))
    assert resumed - {"0"}, stops
    print(f"{stage}: {', '.join(stops)}; went on at steps {', '.join(sorted(resumed, key=int))}")


def test_a_damaged_state_is_not_used(runs):
    stage = "segment_cost"
    expected, places = runs.uninterrupted(stage)
    runs.plan([n for n, place in enumerate(places, 1) if place.startswith("training:")][-1])
    code, _ = runs.repository.run(*runs.command(stage, "--force"))
    assert code != 0
    (state,) = (runs.folder / "results/.state").glob("*/*.safetensors")
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    assert runs.finish(stage) == expected
    assert f"{state.name}: its content does not match the digest" in runs.log(stage)
    assert "training goes on" not in runs.log(stage)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("end", ["is stopped", pytest.param("finishes", marks=pytest.mark.full)])
def test_a_killed_snakemake_leaves_a_job_that_holds_its_lock(runs, end, tmp_path, python):
    stage = "segment_cost"
    expected, places = runs.uninterrupted(stage)
    here = socket.gethostname()
    training = [n for n, place in enumerate(places, 1) if place.startswith("training:")]
    runs.plan(training[len(training) // 2], 0)
    first = runs.repository.start(*runs.command(stage, "--force"))
    acted = runs.folder / "acted"
    wait_for(lambda: acted.exists() and acted.read_text())
    job = int(acted.read_text().split()[0])
    try:
        # From another clone, on the same results.
        other, results = traced(tmp_path / "clone", python), runs.folder / "results"
        code, text = other.run(*runs.command(stage, "--config", f"results={results}", results=results))
        assert code != 0
        assert f"another snakemake works here: process {first.pid} on {here}. Wait for it, or stop it" in text
        assert "Traceback" not in text
        assert runs.repository.run(*runs.command(stage, "--dry-run"))[0] == 0
        first.kill()
        first.wait()
        code, text = runs.repository.run(*runs.command(stage))
        assert code != 0
        assert f"still run here: maze/{stage}/base, process {job} on {here}. Wait for them, or stop them" in text
    finally:
        first.kill()
        if end == "is stopped":
            os.kill(job, signal.SIGTERM)
        (runs.folder / "go").touch()
    wait_for(lambda: not Path(f"/proc/{job}").exists())
    assert runs.exit_code() == (0 if end == "finishes" else 143)
    assert runs.finish(stage) == expected
    assert ("training goes on at step" in runs.log(stage)) == (end == "is stopped")
