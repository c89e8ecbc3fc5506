import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forking import forking

from interdiff.errors import InputError
from interdiff.learning.devices import VISIBLE, devices, launcher, lease, spread
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


def test_torch_does_not_look_before_the_lease(monkeypatch):
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("asked in the process that leases"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked in the process that leases"))
    assert devices() == []


LOOKS = """
import os, torch
from pydantic import BaseModel

looks = []

def look(answer):
    def record():
        looks.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return answer
    return record

torch.cuda.is_available, torch.cuda.device_count = look(True), look(2)
from interdiff.workflow.runner import run_stage

class Settings(BaseModel):
    seed: int = 0

def main(stage):
    "Says when torch looked for devices, and whether its algorithms are deterministic."
    stage.outputs["text"].parent.mkdir(parents=True)
    stage.outputs["text"].write_text(f"{stage.device} {looks} {torch.are_deterministic_algorithms_enabled()}")

if __name__ == "__main__":
    run_stage(main, Settings)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    with forking(tmp_path_factory.mktemp("bin"), ["torch", "pydantic"]) as program:
        yield program


@pytest.mark.parametrize(("gpus", "said"), [(1, "cuda ['5'] False"), (0, "cpu [] True")])
def test_a_job_looks_for_devices_after_its_lease_and_a_cpu_job_not_at_all(tmp_path, python, gpus, said):
    (tmp_path / "looks.py").write_text(LOOKS)
    spec = '{"settings": {}, "threads": 1}'
    command = [
        python,
        "-m",
        "looks",
        "--spec",
        spec,
        "--gpus",
        str(gpus),
        "--results",
        "r",
        "--out",
        "text=r/a/b/t",
    ]
    environment = os.environ | {VISIBLE: "5,7", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r/a/b/t").read_text() == said


def test_no_stage_looks_for_devices_as_it_is_imported():
    stages = [f"stages.{path.parent.name}.{path.stem}" for path in (ROOT / "stages").glob("*/[a-z]*.py")]
    look = "import sys, torch; torch.cuda.is_available = torch.cuda.device_count = lambda: sys.exit('looked')"
    code = f"{look}\nimport importlib\nfor name in {stages!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("gpus", "settings"), [(2, {"training": {}}), (1, {"training": {}}), (2, {"steps": 3})])
def test_a_training_with_several_gpus_becomes_the_launcher(monkeypatch, tmp_path, gpus, settings):
    monkeypatch.setenv(VISIBLE, "3,4,5")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []
    monkeypatch.setattr(os, "execvp", lambda program, command: started.append(command))
    stage = Stage("maze.keyframes", {}, SimpleNamespace(**settings), {}, {}, threads=1, gpus=gpus, results=tmp_path)
    _take_devices(stage, ["--gpus", str(gpus)])
    several = gpus > 1 and "training" in settings
    assert started == ([[*launcher(2), "stages.maze.keyframes", "--gpus", "2"]] if several else [])
    assert os.environ[VISIBLE] == ",".join(["3", "4", "5"][:gpus])


@pytest.mark.parametrize(("gpus", "nodes"), [(4, 2), (2, 1)])
def test_all_devices_of_an_allocation_of_several_nodes_train_together(monkeypatch, tmp_path, gpus, nodes):
    """As many as one node has stay on it."""
    monkeypatch.setenv(VISIBLE, "0,1")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "16")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []
    monkeypatch.setattr(os, "execvp", lambda program, command: started.append(command))
    settings = SimpleNamespace(training={})
    stage = Stage("maze.keyframes", {}, settings, {}, {}, threads=1, gpus=gpus, results=tmp_path)
    _take_devices(stage, ["--gpus", str(gpus)])
    (command,) = started
    assert command[-3:] == ["stages.maze.keyframes", "--gpus", str(gpus)]
    assert command[command.index("--nproc_per_node") + 1] == "2"
    assert ("srun" in command, "--nodes=2" in command, "--cpus-per-task=16" in command) == (nodes == 2,) * 3


def test_more_devices_than_an_allocation_has_are_bad_input(monkeypatch):
    monkeypatch.setenv(VISIBLE, "0,1")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    assert spread(3) == spread(8) == 1
    with pytest.raises(InputError, match=r"--gpus 3: only 2 GPUs"):
        lease(3)
