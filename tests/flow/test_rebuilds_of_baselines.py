"""The rebuild matrix of the learned baselines, which the default target does not ask for."""

import shutil

import pytest
from conftest import append, config

FOLDERS = ("window_diffusion/full_sequence", "window_diffusion/hierarchical", "segment_fill/hierarchical")
TARGETS = [f"results/maze/{folder}/model.safetensors" for folder in FOLDERS]
FULL, SUBGOALS, SEGMENTS = (folder.replace("/", " ") for folder in FOLDERS)
ALL = (FULL, SUBGOALS, SEGMENTS)


@pytest.fixture(scope="module")
def with_baselines(built):
    built.snakemake("--quiet", "all", "--", *TARGETS)
    yield built
    for folder in (*FOLDERS, "prepared/full_sequence", "prepared/hierarchical"):
        shutil.rmtree(built.folder / "results/maze" / folder)


def code(name):
    return lambda repository: repository.edit(name, append("unused = 1"))


def configured(change):
    return lambda repository: repository.edit("config.yaml", config(change))


EDITS = {
    "nothing": (lambda repository: None, ()),
    "the windows' stage": (code("stages/maze/window_diffusion.py"), (FULL, SUBGOALS)),
    "the segments' stage": (code("stages/maze/segment_fill.py"), (SEGMENTS,)),
    "both networks": (code("interdiff/maze/baselines/window_diffusion.py"), ALL),
    "the planners": (code("interdiff/maze/baselines/planners.py"), ()),
    "phase 2": (code("interdiff/maze/planner/refiner.py"), ()),
    "denoising steps": (
        configured(lambda maze: maze["report"]["baselines"]["hierarchical"].update(fill_steps=9)),
        (),
    ),
    "one baseline's training": (
        configured(lambda maze: maze["variants"]["hierarchical"]["window_diffusion"]["training"].update(steps=9)),
        (SUBGOALS,),
    ),
    "one baseline's horizon": (
        configured(lambda maze: maze["variants"]["hierarchical"]["data"]["horizon"].update(large=375)),
        ("prepare hierarchical", SUBGOALS, SEGMENTS),
    ),
}


@pytest.mark.parametrize(("edit", "expected"), [pytest.param(*cell, id=name) for name, cell in EDITS.items()])
def test_an_edit_retrains_exactly(with_baselines, repository, edit, expected):
    edit(repository)
    assert repository.jobs(*TARGETS) == set(expected)


@pytest.mark.parametrize("stage", ["window_diffusion", "segment_fill"])
def test_the_default_target_trains_no_baseline(repository, stage):
    code(f"stages/maze/{stage}.py")(repository)
    assert repository.jobs() == set()
