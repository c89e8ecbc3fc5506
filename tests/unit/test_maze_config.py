"""What is wrong with a maze configuration is said before any job, and by the key at fault."""

from types import SimpleNamespace

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.baselines.settings import NOT_LEARNED
from interdiff.maze.evaluation.ablations import compared, plan_figures
from interdiff.maze.evaluation.contenders import FEEDBACK
from interdiff.maze.evaluation.controls import FIGURES
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline
from interdiff.workflow.report import maze as report
from interdiff.workflow.report.glossary import MAZE

FAMILY = {"random": {"map": {"count": 2, "sides": [5, 6], "grid": 8}}}


def config(base=None, variants=None, reported=("base",), **report):
    told = {"base": base or {}, "variants": variants or {}, "report": {"variants": list(reported), **report}}
    return load_config({"maze": told})


@pytest.mark.parametrize("key", ["controls", "ablations"])
@pytest.mark.parametrize(
    "change", [{"sampling": {"split": "val"}}, {"data": {"seed": 1}}, {"sampling": {"n_per_layout": 4}}]
)
def test_what_is_compared_plan_by_plan_is_of_the_same_sequences(key, change):
    asked = {"controls": ["other"]} if key == "controls" else {"ablations": {"data": ["other"]}}
    with pytest.raises(InputError, match=rf"report\.{key}.*: other plans for other sequences than base"):
        config(variants={"other": change}, **asked)


def test_plans_of_other_sequences_are_not_paired():
    states = np.full((2, 3, 4), 0.3)
    arrays = {name: states for name in ("truth", "refined", "oracle_refined")}
    arrays |= {"occupancy": np.zeros((2, 5, 5)), "layout": np.array(["umaze"] * 2), "row": np.arange(2)}
    own, other = plan_figures(arrays), plan_figures(arrays | {"truth": arrays["truth"] + 0.01})
    assert next(iter(compared(own, own)))["difference"] == 0
    with pytest.raises(InputError, match="not of the same held-out sequences"):
        next(iter(compared(own, other)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": {"data": {"layouts": ["umaze", "umaze"]}}}, r"base\.data\.layouts: 'umaze' is there twice"),
        ({"base": {"sampling": {"seeds": [1, 1]}}}, r"base\.sampling\.seeds: 1 is there twice"),
        ({"reported": ["base", "base"]}, r"report\.variants: 'base' is there twice"),
        ({"base": {"data": {"layouts": ["umaze", "large"], "hold_out": "mazes"}}}, r"hold_out: mazes, of which there are 2"),
        ({"base": {"data": {"frames": 16}}}, r"masks\.levels: K=\d+ exceeds T - 1"),
        ({"unseen": {"planners": {"two_phase": {}, "controller": {}}}}, r"planners: 'controller' is the name of another row"),
        ({"rollouts": {"planners": {"two_phase": {}, "hierarchical_retimed": {}}}}, r"is the name of another row"),
        ({"budget": {"planners": {"two_phase": {}, "uniform": {}}}}, r"planners: 'uniform' is the name of another row"),
    ],
)  # fmt: skip
def test_what_would_fail_late_or_mislead_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        config(**values)


def test_keyframes_of_a_planner_without_phase_1_are_not_varied():
    told = {"planners": {"two_phase": {}, "points": {"variant": "points"}}, "counts": {"two_phase": [4], "points": [4]}}
    with pytest.raises(InputError, match=r"budget\.counts\.points: points has no phase 1"):
        config(variants={"points": {"sampling": {"planner": "waypoints"}}}, budget=told)


def test_a_key_that_base_sets_is_named_where_it_is_at_fault():
    with pytest.raises(InputError, match=r"variants\.windows\.data: windows \(mode\) are of single mazes, 'random'"):
        load_config(
            {
                "maze": {
                    "layouts": FAMILY,
                    "base": {"data": {"layouts": ["random"]}},
                    "variants": {"windows": {"data": {"mode": "windows"}}},
                }
            }
        )


@pytest.mark.parametrize("stage", ["selection", "refinement_limit"])
def test_windows_are_not_simulated_again(stage, tmp_path):
    told = config(base={"data": {"mode": "windows"}})
    pipeline = MazePipeline(told.maze, "results", tmp_path)
    with pytest.raises(InputError, match=r"base\.data\.mode: windows cannot be simulated again"):
        getattr(pipeline, stage)(SimpleNamespace(variant="base"))


def test_a_budget_of_nothing_is_said_to_be_one(tmp_path):
    told = config(budget={"counts": {"two_phase": []}})
    with pytest.raises(InputError, match=r"budget\.counts: no planner has numbers of keyframes"):
        MazePipeline(told.maze, "results", tmp_path).budget(None)


def test_what_plans_is_among_what_a_variant_is_made_of(tmp_path):
    told = config(variants={"whole": {"sampling": {"planner": "full_sequence"}}}, reported=["base", "whole"])
    artifacts = MazePipeline(told.maze, "results", tmp_path).variants(None)["artifacts"]
    assert "sequence_diffusion" in artifacts["whole"]
    assert "sequence_diffusion" not in artifacts["base"]


def test_every_difference_of_controls_is_explained():
    assert {f"{name}_difference" for name in FIGURES} <= MAZE.keys()


def test_a_chart_has_no_bar_of_a_layout_without_plans(monkeypatch):
    drawn = {}
    monkeypatch.setattr(report, "bars", lambda panels, *_: drawn.update(panels))
    record = {
        "variants": {name: {"metrics": [{"layout": layout}]} for name, layout in (("a", "umaze"), ("b", "large"))}
    }
    figures = ("crossed_interp", "crossed_refined")
    crossed = {"a": {f"{key}.umaze": 0.5 for key in figures}, "b": {f"{key}.large": 0.25 for key in figures}}
    report.crossings_chart(record, crossed)
    assert drawn == {"umaze": {"a": [0.5, 0.5]}, "large": {"b": [0.25, 0.25]}}


def test_the_names_that_are_taken_are_those_of_the_tables():
    assert {*FEEDBACK, "shortest_path_planned"} == {*NOT_LEARNED}
