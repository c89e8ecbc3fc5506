import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from interdiff.errors import InputError
from interdiff.learning.devices import VISIBLE, devices, launcher, lease
from interdiff.workflow.runner import _take_devices
from interdiff.workflow.stage import Stage

ROOT = Path(__file__).parents[2]
JOB = """
import sys, time
from pathlib import Path
from interdiff.learning.devices import lease
ids = lease(int(sys.argv[1]))
Path(sys.argv[2]).write_text(f"{time.monotonic()} {' '.join(ids)}")
time.sleep(float(sys.argv[3]))
Path(sys.argv[2] + ".end").write_text(str(time.monotonic()))
"""


def job(folder, name, count, seconds=0.4, ids="5,7"):
    environment = os.environ | {VISIBLE: ids, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", JOB, str(count), str(folder / name), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def leased(folder, name):
    begin, *ids = (folder / name).read_text().split()
    return float(begin), float((folder / f"{name}.end").read_text()), ids


def test_jobs_that_run_at_once_never_share_a_device(tmp_path):
    names = [f"job{number}" for number in range(5)]
    jobs = [job(tmp_path, name, 2 if name == "job2" else 1) for name in names]
    assert [one.wait(30) for one in jobs] == [0] * 5
    leases = [leased(tmp_path, name) for name in names]
    assert {tuple(ids) for _, _, ids in leases} <= {("5",), ("7",), ("5", "7")}
    assert leases[2][2] == ["5", "7"]
    for a, (begin, end, ids) in enumerate(leases):
        for begin_b, end_b, ids_b in leases[:a]:
            if set(ids) & set(ids_b):
                assert end <= begin_b or end_b <= begin


def test_a_killed_job_gives_its_device_back(tmp_path):
    first = job(tmp_path, "first", 2, seconds=60)
    while not (tmp_path / "first").exists():
        time.sleep(0.02)
    second = job(tmp_path, "second", 1)
    time.sleep(0.5)
    assert not (tmp_path / "second").exists()
    first.kill()
    first.wait()
    assert second.wait(30) == 0


@pytest.mark.parametrize(("ids", "message"), [("3", r"--gpus 2: only 1 GPUs \(3\)"), ("", "torch finds no GPU")])
def test_more_devices_than_there_are_is_bad_input(monkeypatch, ids, message):
    monkeypatch.setenv(VISIBLE, ids)
    with pytest.raises(InputError, match=message):
        lease(2)


def test_devices_are_named_as_the_variable_names_them(monkeypatch):
    monkeypatch.setenv(VISIBLE, "GPU-a1, 3")
    assert devices() == ["GPU-a1", "3"]


@pytest.mark.parametrize(("gpus", "settings"), [(2, {"training": {}}), (1, {"training": {}}), (2, {"steps": 3})])
def test_a_training_with_several_gpus_becomes_the_launcher(monkeypatch, tmp_path, gpus, settings):
    monkeypatch.setenv(VISIBLE, "3,4,5")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    stage = Stage("maze.keyframes", {}, SimpleNamespace(**settings), {}, {}, threads=1, gpus=gpus, results=tmp_path)
    _take_devices(stage, ["--gpus", str(gpus)])
    several = gpus > 1 and "training" in settings
    assert started == ([[*launcher(2), "stages.maze.keyframes", "--gpus", "2"]] if several else [])
    assert os.environ[VISIBLE] == ",".join(["3", "4", "5"][:gpus])
