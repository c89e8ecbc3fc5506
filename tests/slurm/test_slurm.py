"""The maze pipeline in small through a real SLURM, one of its jobs interrupted, against the same run without SLURM."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import cluster, wait_for

ROOT = Path(__file__).parents[2]
RESULTS = Path("results-smoke")
TARGET = RESULTS / "maze/metrics.csv"
GPU_RULES = ("segment_cost", "selector", "keyframes", "anchors", "refiner", "samples")
CONFIG = ["--configfile", "profiles/smoke/overrides.yaml", "tests/slurm/overrides.yaml"]
# The fake GPUs have no CUDA: SLURM is asked for one, the stage is told to compute on the CPU.
RESOURCES = [f"{rule}:{value}" for rule in GPU_RULES for value in ("gpu=0", "slurm_extra='--gpus-per-node=fake:1'")]
LOCAL = ["--workflow-profile", "profiles/smoke", *CONFIG]
SLURM = ["--workflow-profile", "profiles/slurm", *CONFIG, "--set-resources", *RESOURCES]
SLURM += [
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--seconds-between-status-checks",
    "1",
    "--latency-wait",
    "5",
]
INTERRUPTED = "rule_keyframes_wildcards_base"
WITHOUT_CLOCK = {".safetensors", ".npz", ".hdf5"}

pytestmark = pytest.mark.slurm


def copy_of_repository(folder):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def start(folder, options, environment):
    environment = {key: value for key, value in environment.items() if not key.startswith("MLFLOW")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--nocolor", str(TARGET), *options]
    output = (folder / "snakemake.txt").open("w")
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def finished(process, folder, seconds):
    try:
        code = process.wait(seconds)
    finally:
        if process.poll() is None:
            process.kill()
    assert code == 0, (folder / "snakemake.txt").read_text()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same without SLURM, which goes on beside it: snakemake's process, and the folder."""
    folder = copy_of_repository(tmp_path_factory.mktemp("local"))
    process = start(folder, LOCAL, os.environ)
    yield process, folder
    process.kill()


@pytest.fixture(scope="module")
def through_slurm(tmp_path_factory, local):
    """The folder of the run, SLURM's records of its jobs, and the step at which phase 1 was interrupted."""
    folder = copy_of_repository(tmp_path_factory.mktemp("slurm"))
    with cluster(tmp_path_factory.mktemp("cluster")) as slurm:
        process = start(folder, SLURM, slurm.environment)
        try:
            log = folder / RESULTS / "maze/logs/keyframes/base.txt"
            wait_for(lambda: process.poll() is not None or logged_steps(log), 600, "phase 1 does not begin")
            assert process.poll() is None, (folder / "snakemake.txt").read_text()
            before = logged_steps(log)[-1]
            job = slurm.job(INTERRUPTED)["JobId"]
            slurm.run("scontrol", "requeue", job)
            wait_for(lambda: slurm.job(INTERRUPTED)["JobState"] == "PENDING", 60, "the job is not requeued")
            # SLURM would hold it for two minutes.
            slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
        finally:
            finished(process, folder, 900)
        return folder, slurm.jobs(), before


def logged_steps(log):
    return [int(step) for step in re.findall(r"step (\d+) ", log.read_text())] if log.exists() else []


def artifacts(folder):
    paths = (path for path in (folder / RESULTS / "maze").rglob("*") if path.suffix in WITHOUT_CLOCK)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_results_are_those_of_a_local_run(local, through_slurm):
    finished(*local, 900)
    expected, made = artifacts(local[1]), artifacts(through_slurm[0])
    assert len(expected) >= 14
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []


def test_the_interrupted_job_went_on_at_its_saved_step(through_slurm):
    folder, jobs, before = through_slurm
    (job,) = [job for job in jobs if job["Comment"] == INTERRUPTED]
    assert job["Restarts"] == "1"
    log = (folder / RESULTS / "maze/logs/keyframes/base.txt").read_text()
    (resumed,) = re.findall(r"training goes on at step (\d+)", log)
    assert before <= int(resumed) < 300
    assert min(logged_steps(folder / RESULTS / "maze/logs/keyframes/base.txt")) > before


def test_every_gpu_job_saw_one_device_and_shared_it_with_none(through_slurm):
    folder, jobs, _ = through_slurm
    seen = []
    for job in jobs:
        rule, wildcards = re.fullmatch(r"rule_(\w+?)_wildcards_(\w+)", job["Comment"]).groups()
        if rule in GPU_RULES:
            assert job["TresPerNode"] == "gres:gpu:fake:1"
            log = (folder / RESULTS / f"maze/logs/{rule}/{wildcards.replace('_', '.')}.txt").read_text()
            (device,) = re.findall(r"CUDA_VISIBLE_DEVICES=(\S*)", log)
            seen.append((job["StartTime"], job["EndTime"], device))
    assert len(seen) == 12
    assert {device for _, _, device in seen} == {"0", "1"}
    for number, (start, end, device) in enumerate(seen):
        others = [other for other in seen[:number] if other[2] == device]
        assert all(end <= other_start or other_end <= start for other_start, other_end, _ in others)


def test_jobs_asked_for_what_their_rules_declare(through_slurm):
    job = next(job for job in through_slurm[1] if job["Comment"] == INTERRUPTED)
    assert job["MinMemoryNode"] == "4000M"
    assert job["TimeLimit"] == "04:00:00"
    assert job["Requeue"] == "1"
