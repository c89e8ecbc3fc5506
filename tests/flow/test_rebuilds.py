"""The rebuild matrix: for every kind of edit, the exact jobs that `snakemake -n` would run."""

import re
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, append
from edits import EDITS, LONG, MINE, WITHOUT_EFFECT, code, configured, modules, setting
from jobs import SAMPLED, exactly


@pytest.mark.parametrize(
    ("edit", "expected"),
    [pytest.param(*cell, id=name, marks=[pytest.mark.full] if name in LONG else []) for name, cell in EDITS.items()],
)
def test_an_edit_rebuilds_exactly(repository, edit, expected):
    edit(repository)
    assert repository.jobs() == exactly(*expected)


def test_edits_without_effect_rebuild_nothing(repository):
    for edit in WITHOUT_EFFECT:
        edit(repository)
    assert repository.jobs() == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("interdiff/workflow/report/page.py", ("report",)),
        ("interdiff/workflow/tracking/runs.py", ("variants", "report")),
        ("interdiff/maze/figures/gallery.py", ("gallery", "variants", "report")),
    ],
)
def test_views_follow_their_code_and_what_they_show(repository, name, expected):
    code(name)(repository)
    assert repository.jobs(views=()) == exactly(*expected)


def test_the_stage_and_variant_of_the_contributors_guide_work(repository):
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (variant,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    stage, rule = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(variant.splitlines()) == 3
    assert sum(bool(line) for line in stage.splitlines()) == 10
    repository.edit("stages/maze/lengths.py", lambda text: stage)
    repository.edit("rules/maze/world.smk", append(rule))
    configured(lambda maze: maze["variants"].update(yaml.safe_load(variant)))(repository)
    targets = ("results/maze/lengths/cubic/val.json", "results/maze/samples/cubic/metrics.csv")
    assert repository.jobs(*targets) == {"lengths cubic val", "refiner cubic", "samples cubic"}


@pytest.mark.parametrize("outside", [pytest.param(False, marks=pytest.mark.full), True])
def test_a_network_of_ones_own_counts_where_it_is_used(repository, tmp_path, monkeypatch, outside):
    own = tmp_path if outside else repository.folder
    if outside:
        monkeypatch.setenv("PYTHONPATH", str(own))
    for name, text in {"mine": MINE, "layers": "WIDTH = 4\n"}.items():
        path = own / f"my_package/{name}.py"
        repository.edit(path, lambda _, text=text: text)
    network = {"class": "my_package.mine.Mine", "hidden": 8}
    configured(lambda maze: maze["variants"].update(mine={"refiner": {"network": network}}))(repository)
    target = "results/maze/samples/mine/metrics.csv"
    made = {"refiner mine", "samples mine"}
    try:
        assert repository.jobs() == set(), "nothing else is made of other code"
        assert repository.jobs(target) == made
        repository.snakemake("--quiet", "all", "--", target)
        assert repository.jobs(target) == set()
        repository.edit(own / "my_package/mine.py", lambda text: f"# Why.\n{text}")
        assert repository.jobs(target) == set()
        repository.edit(own / "my_package/layers.py", append("unused = 1"))
        assert repository.jobs(target) == made
        text = repository.run("interdiff.workflow.why", target)[1]
        assert re.search(r"my_package/layers\.py: code changed", text)
        assert repository.jobs() == set()
    finally:
        for path in [*repository.folder.glob("results/maze/*/mine"), *repository.folder.glob("results/maze/*/*/mine*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_git_checkout_to_and_fro(repository):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=repository.folder, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("add", "Snakefile", "config.yaml", "rules", "profiles", "interdiff", "stages")
    git("commit", "--message=before")
    git("checkout", "-b", "other")
    for name in modules(repository):
        path = repository.folder / name
        path.write_text(f"# Why.\n{path.read_text()}")
    code("stages/maze/samples.py")(repository)
    git("commit", "--all", "--message=after")
    assert repository.jobs() == exactly(*SAMPLED)
    git("checkout", "main")
    assert repository.jobs() == set()


def test_a_bad_key_stops_before_the_first_job(repository):
    setting("base", "refiner", "depht", to=2)(repository)
    code, text = repository.run("snakemake", "--nocolor", "--dry-run")
    assert code != 0
    assert "maze.base.refiner.depht: unknown key" in text
