"""Training in two processes over gloo, as on two GPUs, against the same training in one."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import equally_spaced, smooth_sequences
from forking import forking
from safetensors.numpy import load_file

from interdiff.learning.devices import launcher

LIBRARIES = (
    "accelerate",
    "diffusers.models.transformers.transformer_wan",
    "numba",
    "pandas",
    "peft",
    "pydantic",
    "torch._dynamo",
    "torch.distributed.run",
)
ROOT = Path(__file__).parents[2]
NETWORK = {"d_model": 16, "depth": 1, "heads": 2}
TRAINING = {"steps": 12, "batch_size": 8, "warmup_steps": 3, "save_every": 4, "log_every": 1, "ema_decay": 0.5}
FILES = {
    name.split(".")[0]: name for name in ("model.safetensors", "config.json", "history.csv", "metrics.json", "run.json")
}


@pytest.fixture(scope="module", autouse=True)
def python(tmp_path_factory):
    """Processes begin without the ten seconds that torch and diffusers take to import."""
    with forking(tmp_path_factory.mktemp("bin"), LIBRARIES) as program, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(program))
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Prepared data and masks of two empty mazes."""
    folder = tmp_path_factory.mktemp("data")
    data = smooth_sequences(["a", "b"], rows=24)
    np.savez(folder / "data.npz", **data)
    np.savez(folder / "masks.npz", **equally_spaced(data, [4], [4]))
    return {"train": folder / "data.npz", "val": folder / "data.npz", "masks_val": folder / "masks.npz"}


def command(folder, inputs, processes=1, nodes=1, **training):
    settings = {"network": NETWORK, "pairs": 8, "training": TRAINING | training}
    spec = json.dumps({"stage": "maze.segment_cost", "settings": settings, "threads": 1})
    words = [f"{name}={path}" for name, path in inputs.items()]
    outputs = [f"{name}={folder / 'results/segment_cost/base' / file}" for name, file in FILES.items()]
    log = ["--log", folder / "log.txt", "--results", folder / "results"]
    start = [sys.executable, "-m"] if processes == 1 else launcher(processes, nodes)
    return [*start, "stages.maze.segment_cost", "--spec", spec, *log, "--in", *words, "--out", *outputs]


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}


def run(*arguments, **options):
    done = subprocess.run(
        command(*arguments, **options), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def trained(folder):
    folder = folder / "results/segment_cost/base"
    with (folder / "history.csv").open(newline="") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    return losses, load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def one(tmp_path_factory, inputs):
    folder = tmp_path_factory.mktemp("one")
    code, text = run(folder, inputs)
    assert code == 0, text
    return trained(folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory, inputs):
    folder = tmp_path_factory.mktemp("two")
    code, text = run(folder, inputs, 2)
    assert code == 0, text
    return folder


def same(a, b):
    np.testing.assert_allclose(a[0], b[0], rtol=1e-4)
    assert a[1].keys() == b[1].keys()
    for name, values in a[1].items():
        np.testing.assert_allclose(values, b[1][name], rtol=1e-2, atol=1e-4)


def test_two_processes_learn_what_one_does(one, two):
    assert len(one[0]) == TRAINING["steps"]
    np.testing.assert_allclose(trained(two)[0][:5], one[0][:5], rtol=0, atol=1e-5)
    same(one, trained(two))


SRUN = """#!/bin/sh
# Runs a command as often as there are nodes, all of them here.
while case "$1" in --*) true;; *) false;; esac; do
    case "$1" in --nodes=*) nodes=${1#--nodes=};; esac
    shift
done
for node in $(seq "$nodes"); do "$@" & started="$started $!"; done
for job in $started; do wait "$job" || exit 1; done
"""


def test_two_nodes_learn_what_one_process_does(tmp_path, inputs, one, monkeypatch):
    """With a stand-in for SLURM's srun."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/srun").write_text(SRUN)
    (tmp_path / "bin/srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    code, text = run(tmp_path, inputs, 2, nodes=2)
    assert code == 0, text
    losses, weights = trained(tmp_path)
    np.testing.assert_allclose(losses[:5], one[0][:5], rtol=0, atol=1e-5)
    same((losses, weights), one)


@pytest.mark.parametrize(
    ("processes", "training"),
    [(1, {"accumulate": 2}), (2, {"accumulate": 2})],
)
def test_micro_batches_learn_what_whole_batches_do(tmp_path, inputs, one, processes, training):
    code, text = run(tmp_path, inputs, processes, **training)
    assert code == 0, text
    losses, weights = trained(tmp_path)
    np.testing.assert_allclose(losses[:5], one[0][:5], rtol=0, atol=1e-5)
    same((losses, weights), one)


WAN = {"steps": 8, "batch_size": 4, "warmup_steps": 2, "log_every": 1, "save_every": 5, "learning_rate": 0.01}
LORA, FULL = ({"kind": kind, "rank": 2} for kind in ("lora", "full"))
WANS = {
    1: {
        "full": (FULL, {}, None),
        "lora": (LORA, {}, None),
        "full accumulate": (FULL, {"accumulate": 4}, None),
        "continuous": (FULL, {}, "continuous"),
        "discrete": (LORA, {}, "discrete"),
    },
    2: {
        "full ddp": (FULL, {}, None),
        "full fsdp": (FULL, {"fsdp": True, "accumulate": 2}, None),
        "full fsdp again": (FULL, {"fsdp": True, "accumulate": 2}, None),
        "lora ddp": (LORA, {"accumulate": 2}, None),
        "lora fsdp": (LORA, {"fsdp": True}, None),
        "continuous ddp": (FULL, {}, "continuous"),
        "continuous fsdp": (FULL, {"fsdp": True}, "continuous"),
        "discrete fsdp": (LORA, {"fsdp": True, "accumulate": 2}, "discrete"),
    },
}
"""Tiny Wans by the number of processes that train them; a student and its critic where a kind of consistency is named."""


@pytest.fixture(scope="module")
def wans(tmp_path_factory):
    """Losses and weights of each; those that are trained "again" go on from the state of those before them."""
    folder, made = tmp_path_factory.mktemp("wan"), {}
    for processes, named in WANS.items():
        jobs = []
        for name, (tuning, training, consistency) in named.items():
            (folder / name).mkdir()
            if name.endswith(" again"):
                (folder / name / "state").symlink_to(folder / name.removesuffix(" again") / "state")
            jobs.append([str(folder / name), tuning, WAN | training, consistency])
        start = [sys.executable, "-m"] if processes == 1 else launcher(processes)
        command = [*start, "tests.flow.train_tiny_wan", json.dumps(jobs)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        made |= {
            name: (
                json.loads((folder / name / "losses.json").read_text()),
                load_file(folder / name / "model.safetensors"),
            )
            for name in named
        }
    return made


@pytest.mark.parametrize(
    "name", [name for named in WANS.values() for name in named if " " in name and "again" not in name]
)
def test_wan_learns_the_same_in_shards_in_copies_and_in_micro_batches(wans, name):
    alone = wans[name.split()[0]]
    np.testing.assert_allclose(wans[name][0][:5], alone[0][:5], rtol=0, atol=1e-5)
    same(wans[name], alone)


def test_a_sharded_training_goes_on_from_its_state(wans):
    losses, weights = wans["full fsdp again"]
    assert len(losses) == WAN["steps"] - WAN["save_every"]
    same((losses, weights), (wans["full"][0][WAN["save_every"] :], wans["full"][1]))


def test_the_first_process_alone_writes(two):
    rows = [line for line in (two / "log.txt").read_text().splitlines() if "  loss " in line]
    assert len(rows) == TRAINING["steps"]
    assert not list((two / "results/.state").glob("*"))


def test_two_processes_stop_together_and_go_on(tmp_path, inputs, one):
    launched = subprocess.Popen(command(tmp_path, inputs, 2, steps=3000), cwd=ROOT, env=environment())
    log = tmp_path / "log.txt"
    deadline = time.monotonic() + 60
    while not (log.exists() and "step 5 " in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    launched.send_signal(signal.SIGTERM)
    assert launched.wait(60) != 0
    (state,) = (tmp_path / "results/.state").glob("*/state.json")
    step = json.loads(state.read_text())["meta"]["step"]
    assert step >= 5
    assert f"step {step + 1} " not in log.read_text()


def test_a_batch_that_cannot_be_shared_is_bad_input(tmp_path, inputs):
    code, text = run(tmp_path, inputs, 2, batch_size=6)
    assert code != 0
    assert "training.batch_size=6: 3 sequences per layout, expected a multiple of the 2 parts" in text
