"""What Snakemake would run again after which edit: a copy of the repository with toy results."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "rules", "profiles", "envs", "interdiff", "stages")
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--nocolor"]
# They follow from whatever is made anew.
VIEWS = {"variants", "report"}
DOWNSTREAM = [
    "segment_cost",
    "selector",
    "keypoints",
    "anchors",
    "refiner",
    "samples",
    "selection",
    "gallery",
    "curves",
    "metrics",
]


def snakemake(folder, *options):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    # Jobs run a `python` that only touches its outputs: what is asked here is which jobs run.
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    done = subprocess.run([*SNAKEMAKE, *options], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs(folder, views=VIEWS):
    """The rules that a dry run would execute, without `views`."""
    text = snakemake(folder, "--dry-run", "--quiet", "rules")
    table = re.findall(r"^([a-z_]+) +(\d+)$", text, re.MULTILINE)
    return {name for name, _ in table} - {"all", "total", *views}


TOUCH = """#!{python}
import pathlib, sys
words = sys.argv[sys.argv.index("--out") + 1 :]
for word in words:
    path = pathlib.Path(word.split("=", 1)[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / part, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(TOUCH.format(python=sys.executable))
    (folder / "bin/python").chmod(0o755)
    snakemake(folder, "--quiet", "all")
    return folder


@pytest.fixture
def edit(built):
    """Edit a file for one test: edit(name, change) with a function of its text."""
    originals = {}

    def change(name, how):
        path = built / name
        text = path.read_text()
        originals.setdefault(path, text)
        path.write_text(how(text))
        assert path.read_text() != text

    yield change
    for path, text in originals.items():
        path.write_text(text)


def config(change):
    """A text edit of config.yaml by a function of its parsed values."""

    def edited(text):
        values = yaml.safe_load(text)
        change(values["maze"])
        return yaml.safe_dump(values)

    return edited


def append(line):
    return lambda text: f"{text}\n\n{line}\n"


def test_nothing_runs_twice(built):
    assert jobs(built) == set()


@pytest.mark.parametrize("name", ["stages/maze/refiner.py", "interdiff/maze/refiner.py", "interdiff/networks.py"])
def test_comments_docstrings_and_touch_rebuild_nothing(built, edit, name):
    edit(name, lambda text: f"# A comment.\n{text}".replace('"""', '"""Also: ', 1))
    (built / name).touch()
    assert jobs(built) == set()


@pytest.mark.parametrize("name", ["stages/runner.py", "interdiff/state.py", "interdiff/tracking.py"])
def test_edits_of_what_has_no_part_in_the_numbers_rebuild_nothing(built, edit, name):
    edit(name, append("unused = 1"))
    assert jobs(built) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stages/maze/metrics.py", ["metrics"]),
        ("stages/maze/selection.py", ["selection"]),
        ("stages/maze/samples.py", ["samples", "gallery", "metrics"]),
        ("stages/maze/refiner.py", ["refiner", "samples", "gallery", "curves", "metrics"]),
        ("stages/maze/keypoints.py", [name for name in DOWNSTREAM[2:] if name != "selection"]),
        ("stages/maze/selector.py", DOWNSTREAM[1:]),
        ("stages/maze/masks.py", ["masks", *DOWNSTREAM]),
        ("stages/maze/segment_cost.py", DOWNSTREAM),
        ("stages/maze/prepare.py", ["prepare", "masks", *DOWNSTREAM]),
        ("interdiff/maze/simulator.py", ["demonstrations", "prepare", "masks", *DOWNSTREAM]),
        ("interdiff/training.py", DOWNSTREAM),
        ("interdiff/segment_cost.py", ["masks", *DOWNSTREAM]),
        ("interdiff/sampler.py", ["samples", "gallery", "metrics"]),
        ("interdiff/maze/evaluation.py", ["samples", "gallery", "metrics"]),
        ("interdiff/maze/selection_limit.py", ["selection"]),
        ("interdiff/maze/gallery.py", ["gallery"]),
    ],
)
def test_a_code_edit_rebuilds_what_imports_it_and_what_follows(built, edit, name, expected):
    edit(name, append("unused = 1"))
    assert jobs(built) == set(expected)


def test_a_reverted_edit_rebuilds_nothing(built, edit):
    edit("stages/maze/keypoints.py", append("unused = 1"))
    edit("stages/maze/keypoints.py", lambda text: text.replace("unused = 1", "").rstrip() + "\n")
    assert jobs(built) == set()


def _swap(maze):
    training = maze["base"]["refiner"]["training"] = dict(maze["base"]["refiner"]["training"])
    training["log_every"], training["warmup_steps"] = training["warmup_steps"], training["log_every"]
    assert training["log_every"] != training["warmup_steps"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_swap, ["refiner", "samples", "gallery", "curves", "metrics"]),
        (lambda maze: maze["report"]["gallery"].update(samples_drawn=3), ["gallery"]),
        (lambda maze: maze["variants"].update(other={"sampling": {"n_per_layout": 9}}), []),
        (lambda maze: maze.update(variants=dict(reversed(maze["variants"].items()))), []),
    ],
)
def test_a_config_edit_rebuilds_what_reads_it(built, edit, change, expected):
    edit("config.yaml", config(change))
    assert jobs(built) == set(expected)


def test_a_reported_variant_adds_only_its_own_files(built, edit):
    def change(maze):
        maze["variants"]["other"] = {"sampling": {"n_per_layout": 9}}
        maze["report"]["variants"].append("other")

    edit("config.yaml", config(change))
    text = snakemake(built, "--dry-run")
    outputs = re.findall(r"^ +output: (.*)$", text, re.MULTILINE)
    assert outputs
    tables = ("maze/metrics.csv", "maze/variants.json", "maze/report.html")
    assert all("samples/other/" in output or output.endswith(tables) for output in outputs)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("interdiff/report.py", {"report"}),
        ("interdiff/runs.py", {"variants", "report"}),
        ("interdiff/maze/gallery.py", {"gallery", "variants", "report"}),
    ],
)
def test_views_follow_their_code_and_what_they_show(built, edit, name, expected):
    edit(name, append("unused = 1"))
    assert jobs(built, views=set()) == expected


def test_the_stage_and_variant_of_the_contributors_guide_work(built, edit):
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (variant,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    stage, rule = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(variant.splitlines()) == 3
    assert sum(bool(line) for line in stage.splitlines()) == 10
    (built / "stages/maze/lengths.py").write_text(stage)
    try:
        edit("rules/maze.smk", append(rule))
        edit("config.yaml", config(lambda maze: maze["variants"].update(yaml.safe_load(variant))))
        text = snakemake(built, "-n", "results/maze/lengths/cubic/val.json", "results/maze/samples/cubic/metrics.csv")
        assert set(re.findall(r"^(?:local)?rule ([a-z_]+):", text, re.MULTILINE)) == {"lengths", "refiner", "samples"}
        assert "results/maze/lengths/cubic" in text
        assert "refiner/two_pass" not in text
    finally:
        (built / "stages/maze/lengths.py").unlink()


def test_a_bad_key_stops_before_the_first_job(built, edit):
    edit("config.yaml", config(lambda maze: maze["base"]["refiner"].update(depht=2)))
    done = subprocess.run([*SNAKEMAKE, "-n"], cwd=built, capture_output=True, text=True)
    assert done.returncode != 0
    assert "maze.base.refiner.depht: unknown key" in done.stdout + done.stderr
