import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from forking import forking

from interdiff.errors import InputError
from interdiff.workflow.runner import parse_paths
from interdiff.workflow.stage import Stage

ROOT = Path(__file__).parents[2]

STAGE = """
    \"\"\"A toy stage that trains for some steps.\"\"\"
    import sys
    import time

    import torch
    from pydantic import BaseModel

    from interdiff.errors import InputError
    from interdiff.files import atomic_path
    from interdiff.workflow.runner import run_stage


    class Settings(BaseModel):
        seed: int = 0
        steps: int = 3
        fail: str = ""


    def train(stage, settings, state):
        saved = state.load()
        value, step = (saved[0]["value"], saved[1]["step"]) if saved else (torch.zeros(1), 0)
        print("starts at", step, flush=True)
        for step in stage.progress(range(step, settings.steps), "training"):
            value += torch.rand(1, generator=torch.Generator().manual_seed(step))
            if settings.fail == "slow":
                time.sleep(0.05)
            if state.stop_requested:
                state.save({"value": value}, {"step": step + 1})
                raise SystemExit(143)
        return value


    def main(stage):
        \"\"\"Needs nothing, writes a number.\"\"\"
        settings = stage.settings
        if settings.fail == "input":
            raise InputError("cave.hdf5: expected a map")
        if settings.fail == "defect":
            raise KeyError("oops")
        assert stage.folder("data").name == "d"
        with stage.state() as state:
            value = train(stage, settings, state)
        with atomic_path(stage.outputs["number"]) as path:
            path.write_text(f"{value.item()} {torch.rand(1).item()} {torch.get_num_threads()} {stage.device}")


    if __name__ == "__main__":
        run_stage(main, Settings)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    with forking(tmp_path_factory.mktemp("bin"), ["torch", "pydantic", "safetensors.torch"]) as program:
        yield program


@pytest.fixture
def toy(tmp_path, python):
    (tmp_path / "python").symlink_to(python)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.txt").touch()
    (tmp_path / "toy.py").write_text(textwrap.dedent(STAGE))
    return tmp_path


def command(python, settings, *more):
    spec = json.dumps({"stage": "toy", "settings": settings, "threads": 1})
    files = [
        "--log",
        "log.txt",
        "--results",
        "r",
        "--out",
        "number=r/maze/toy/base/n.txt",
        "run=r/maze/toy/base/run.json",
    ]
    return [
        python,
        "-m",
        "toy",
        "--spec",
        spec,
        *(more or ["--in", "data=d/a.txt", "data=d/a.txt"]),
        *files,
    ]


def environment():
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    return clean | {"PYTHONPATH": str(ROOT)}


def run(folder, settings, *more):
    words = command(folder / "python", settings, *more)
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)


def test_a_stage_writes_its_outputs_and_forgets_its_state(toy):
    done = run(toy, {"steps": 3, "seed": 5})
    assert done.returncode == 0, done.stderr
    assert (toy / "r/maze/toy/base/n.txt").read_text().split()[2:] == ["1", "cpu"]
    record = json.loads((toy / "r/maze/toy/base/run.json").read_text())
    assert record["stage"] == "toy"
    assert record["spec"]["settings"] == {"steps": 3, "seed": 5}
    assert "starts at 0" in (toy / "log.txt").read_text()
    assert "maze/toy/base: training: 100%" in done.stderr
    assert not list((toy / "r/.state").glob("*"))


def test_bad_input_is_one_line_and_exit_code_2(toy):
    done = run(toy, {"fail": "input"})
    assert (done.returncode, done.stderr) == (2, "error: cave.hdf5: expected a map\n")
    assert "error: cave.hdf5: expected a map" in (toy / "log.txt").read_text()


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        ({"steps": "many"}, [], "--spec: .*steps"),
        ({}, ["--in", "data=none.npz"], r"error: none\.npz: no such input file"),
        ({}, ["--gpus", "1", "--in", "data=d/a.txt"], "error: --gpus 1: torch finds no GPU"),
    ],
)
def test_a_bad_command_line_is_named(toy, settings, more, message):
    import re

    import torch

    if "--gpus" in more and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    done = run(toy, settings, *more)
    assert done.returncode == 2
    assert re.search(message, done.stderr, re.DOTALL)


def test_an_output_with_two_paths_is_refused(toy):
    words = [*command(toy / "python", {}), "number=r/maze/toy/other/n.txt"]
    done = subprocess.run(words, cwd=toy, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: --out number: 2 paths; expected one\n")


def test_a_defect_leaves_its_traceback_in_the_log(toy):
    done = run(toy, {"fail": "defect"})
    assert done.returncode == 1
    assert "KeyError: 'oops'" in (toy / "log.txt").read_text()


def test_a_terminated_stage_resumes_and_ends_with_the_same_bytes(toy):
    settings = {"steps": 40, "fail": "slow"}
    process = subprocess.Popen(
        command(toy / "python", settings),
        cwd=toy,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert "starts at 0" in process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert not (toy / "r/maze/toy/base/n.txt").exists()
    resumed = run(toy, settings)
    assert resumed.returncode == 0, resumed.stderr
    assert "starts at 0" not in resumed.stdout
    number = (toy / "r/maze/toy/base/n.txt").read_bytes()
    again = run(toy, settings)
    assert "starts at 0" in again.stdout
    assert (toy / "r/maze/toy/base/n.txt").read_bytes() == number


def test_progress_of_older_settings_goes_when_the_outputs_are_made_and_no_other(toy):
    other = ["--in", "data=d/a.txt", "--out", "number=r/maze/toy/other/n.txt"]
    for settings, more in (({"steps": 400}, []), ({"steps": 401}, []), ({"steps": 400}, other)):
        words = command(toy / "python", settings | {"fail": "slow"})
        words = words[: words.index("--out")] + more[2:] if more else words
        process = subprocess.Popen(words, cwd=toy, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert len(list((toy / "r/.state").glob("*/state.json"))) == 3
    assert run(toy, {"steps": 3}).returncode == 0
    (left,) = (toy / "r/.state").iterdir()
    assert json.loads((left / "owner.json").read_text()) == {"output": "maze/toy/other/n.txt"}
    assert (left / "state.json").exists()


def test_another_setting_input_or_output_has_another_state(tmp_path):
    (tmp_path / "a").write_text("1")

    def folder(content="1", output="x", **settings):
        (tmp_path / "a").write_text(content)
        spec = {"settings": {"steps": 3} | settings}
        paths = {"data": [tmp_path / "a"]}, {"number": tmp_path / output}
        return Stage("toy", spec, None, *paths, threads=1, gpus=0, results=tmp_path).state_folder

    assert folder() == folder()
    assert len({folder(), folder(content="2"), folder(output="y"), folder(steps=4)}) == 4


def test_outputs_that_another_process_makes_are_left_alone(toy):
    # Python itself, for its number is in the message.
    words = command(sys.executable, {"steps": 400, "fail": "slow"})
    slow = subprocess.Popen(words, cwd=toy, env=environment(), stdout=subprocess.PIPE)
    slow.stdout.readline()
    done = run(toy, {"steps": 3, "seed": 5})
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1)
    assert f"error: maze/toy/base: another process still makes these files: maze/toy/base, process {slow.pid} on " in (
        done.stderr
    )
    slow.kill()
    slow.wait()
    left = toy / "r/maze/toy/base/.n.0123abcd.tmp.txt"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    assert run(toy, {"steps": 3, "seed": 5}).returncode == 0
    assert not left.exists()


def test_help_says_what_the_stage_does(toy):
    words = [toy / "python", "-m", "toy", "--help"]
    done = subprocess.run(words, cwd=toy, env=environment(), capture_output=True, text=True)
    assert done.stdout.startswith("usage: python -m stages.toy")
    assert "A toy stage that trains" in done.stdout


def test_the_runner_and_the_rules_import_neither_torch_nor_pandas():
    """Every stage waits for the one, and every `snakemake` for the other."""
    modules = "workflow.runner, interdiff.workflow.config, interdiff.workflow.pipelines.video_pipeline"
    code = f"import sys, interdiff.{modules}; sys.exit(bool({{'torch', 'pandas'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_paths_are_named_and_may_repeat():
    parsed = parse_paths(["a=lr=1/x", "a=lr=1/y", "b=y=z", "a=w"], "--in")
    assert parsed == {"a": [Path("lr=1/x"), Path("lr=1/y"), Path("w")], "b": [Path("y=z")]}
    for word in ("x", "./lr=1/x", "a="):
        with pytest.raises(InputError, match=f"--in {word}: expected NAME=PATH"):
            parse_paths([word], "--in")
