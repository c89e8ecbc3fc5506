"""What a report says in words: its numbers, its conclusions and what its columns mean."""

import importlib
import math

import pandas as pd
import pytest

from interdiff.workflow.report.conclusions import Compared, apart
from interdiff.workflow.report.glossary import LESS, MAZE, MORE, VIDEO
from interdiff.workflow.report.maze import SUMMARY, changing, driving, in_brief
from interdiff.workflow.report.maze import conclusions as maze_conclusions
from interdiff.workflow.report.numbers import number, with_error, with_errors
from interdiff.workflow.report.video import (
    ATTRIBUTES,
    attention_in_brief,
    conclusions,
    methods_in_brief,
    milestone_in_brief,
    selection_in_brief,
)
from interdiff.workflow.report.video import in_brief as interpolators_in_brief

MAZE_TABLES = ("maze.drive", "maze.unseen", "maze.selection", "maze.budget")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6e-05, "0.00006"), (6.123e-05, "0.0000612"), (0.123456, "0.123"), (12, "12"), (-0.0457, "-0.0457"), (999.7, "1,000"),
        (12345.6, "12,346"), (12673024, "1.27 × 10⁷"), (1e-9, "1 × 10⁻⁹"), (0, "0"), (-0.0, "0"), (None, ""), (math.nan, ""),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (13.456, 1.54, "+13.5 ± 1.5"), (0.3721, 0.0216, "+0.372 ± 0.022"), (-0.00006, 0.00012, "-0.00006 ± 0.00012"),
        (0, 0.0018, "0.0000 ± 0.0018"), (1234.5, 56.7, "+1,234 ± 57"), (1, 0, "+1 ± 0"), (0.25, math.nan, "+0.25"),
        (math.nan, 0.1, ""), (0.4, 0.0996, "+0.40 ± 0.10"),
    ],
)  # fmt: skip
def test_errors_have_two_digits_and_means_as_many_decimals(mean, error, text):
    assert with_error(mean, error, signed=True) == text


def test_figures_and_their_errors_share_a_cell():
    table = with_errors(pd.DataFrame({"score": [1.0], "score_se": [0.25], "n": [3]}))
    assert table.to_dict("records") == [{"score": "1.00 ± 0.25", "n": 3}]


def test_a_difference_within_two_standard_errors_is_none():
    assert apart("mse_refined", (1.0, 0.3), (2.0, 0.4)).verdict() == (
        "mse_refined shows no difference (1.00 ± 0.30 against 2.00 ± 0.40; -1.00 ± 0.50)"
    )
    assert apart("mse_refined", (1.0, 0.3), (2.1, 0.4)).verdict().startswith("mse_refined is better (")
    assert apart("success", (1.0, 0.3), (2.1, 0.4)).verdict().startswith("success is worse (")
    unknown = Compared("success", (1.0, math.nan), (0.0, math.nan), (1.0, math.nan))
    assert unknown.verdict() == "success cannot be judged, for want of a standard error (1 against 0; +1)"


def ablation(variant, figure, difference, layout="all"):
    row = {"ablation": "a", "variant": variant, "layout": layout, "n": 768, "figure": figure, "mean": 0.02, "se": 0.001}
    return row | {"difference": difference, "difference_se": 0.0005}


def test_single_changes_are_compared_with_base():
    """The table's differences are the variant's from base; the sentence is about base."""
    rows = [ablation("k4", key, 0.01) for key in ("mse_refined", "crossed_refined")]
    rows += [ablation("identity", "mse_refined", 0.004), ablation("identity", "crossed_refined", 0.001)]
    table = pd.DataFrame([*rows, ablation("identity", "mse_refined", 9.0, "umaze")])
    assert list(changing(table)) == [
        "Phase 2 against none (identity), over 768 held-out sequences: mse_refined is better (0.016 against 0.0200 ± 0.0010;"
        " -0.00400 ± 0.00050) and crossed_refined shows no difference (0.019 against 0.0200 ± 0.0010; -0.00100 ± 0.00050).",
        "base against another variant (k4), over 768 held-out sequences: mse_refined is better (0.01 against 0.0200 ± 0.0010;"
        " -0.01000 ± 0.00050) and crossed_refined is better (0.01 against 0.0200 ± 0.0010; -0.01000 ± 0.00050).",
    ]
    brief = in_brief(table)
    assert brief["mse_refined"].tolist() == [
        "0.0200 ± 0.0010 (+0.01000 ± 0.00050)",
        "0.0200 ± 0.0010 (+0.00400 ± 0.00050)",
    ]


def test_planners_are_compared_with_what_could_sink_them_first():
    rows = [
        {
            "planner": name,
            "task": "multi",
            "layout": layout,
            "n": 200,
            "score": score,
            "score_se": 2.0,
            "success": success,
        }
        for name, score, success in (
            ("full_sequence", 100, 0.5),
            ("two_phase", 200, 1.0),
            ("shortest_path_planned", 202, 1.0),
        )
        for layout in ("umaze", "large")
    ]
    search, diffusion = driving(pd.DataFrame(rows))
    assert search == (
        "Two phases (two_phase) against the search's path, driven alike (shortest_path_planned), over 400 episodes: score shows"
        " no difference (200.0 ± 1.4 against 202.0 ± 1.4; -2.0 ± 2.0) and success shows no difference (1 ± 0 against 1 ± 0;"
        " 0 ± 0)."
    )
    assert "full-sequence diffusion (full_sequence)" in diffusion
    assert "score is better (200.0 ± 1.4 against 100.0 ± 1.4; +100.0 ± 2.0) and success is better (1" in diffusion


def video_tables():
    figures = ("frechet", "adherence", *ATTRIBUTES, "clip_score", "smoothness", "sharpness", "distance")
    methods = []
    for name, k, units, value in (("teacher_4", 21, 8.0, 2.0), ("unrefined", 6, 2.0, 1.5), ("base", 6, 4.0, 1.0)):
        row = {"method": name, "steps": 4, "k": k, "n": 64, "full_step_units": units, "full_step_seconds": 1.0}
        row |= {"flops": 1e9, "seconds": 0.5}
        for key in figures:
            missing = key in ("clip_score", "hard")
            row |= {key: math.nan if missing else value, f"{key}_se": math.nan if missing else 0.2}
            row[f"{key}_vs_reference"] = math.nan if missing else value - 2.0
            row[f"{key}_vs_reference_se"] = math.nan if missing else 0.0 if name == "teacher_4" else 0.1
        methods.append(row)
    choices = [
        {"selector": name, "clips": clips, "k": 6, "n": 176, "overlap": 0.5, "overlap_se": 0.1, "overlap_int": value,
         "overlap_int_se": 0.01, "cost_ratio": 1.0, "cost_ratio_se": 0.1, "unique_sequences": 7, "same_prompt": math.nan,
         "other_prompt": math.nan}
        for clips in ("shards", "generated") for name, value in (("fixed", 0.25), ("selector_base", 0.5))
    ]  # fmt: skip
    fills = []
    for method, change in (("lerp", 0.0), ("flow", 1.5)):
        row = {"method": method, "gap": "all", "n": 4000, "uncertainty_corr": 0.7, "uncertainty_corr_se": 0.1}
        row |= {"calibration": 1.1, "calibration_se": 0.1}
        row |= {key: 25 + change if key == "psnr" else 0.2 for key in ("latent_l1", "psnr", "ssim")}
        row |= {f"{key}_se": 0.2 for key in ("latent_l1", "psnr", "ssim")}
        row |= {f"{key}_vs_reference": change for key in ("latent_l1", "psnr")}
        row |= {f"{key}_vs_reference_se": 0.1 if change else 0.0 for key in ("latent_l1", "psnr")}
        fills.append(row | {"worst_vs_reference": 0.0, "params_m": 1.0, "ms_per_frame": 1.0, "wan_step_share": 6e-5})
    return {name: pd.DataFrame(rows) for name, rows in
            (("metrics.csv", methods), ("selection.csv", choices), ("interpolators.csv", fills))}  # fmt: skip


def test_the_video_is_compared_with_the_backbone_first():
    backbone, phase2, selector, filling = conclusions(video_tables())
    assert backbone.startswith(
        "Both phases (base), at 0.5 of the cost, against the backbone on all frames (teacher_4), over 64 prompts: frechet is"
        " better (1.00 ± 0.20 against 2.00 ± 0.20; -1.00 ± 0.10), adherence is worse ("
    )
    assert phase2.startswith(
        "Phase 2 against none (unrefined), over 64 prompts: frechet shows no difference (1.00 ± 0.20 "
    )
    assert "K = 6, over 176 clips: cost_ratio shows no difference" in selector
    assert "overlap_int is better (0.500 ± 0.010 against 0.250 ± 0.010; +0.250 ± 0.014)" in selector
    assert filling == (
        "The best interpolator (flow) against lerp, over 4,000 missing frames: psnr is better (26.50 ± 0.20 against"
        " 25.00 ± 0.20; +1.50 ± 0.10)."
    )


def test_without_what_they_are_about_there_are_no_conclusions():
    tables = video_tables()
    bare = {name: table[~table.iloc[:, 0].isin(["base", "flow"])] for name, table in tables.items()}
    assert list(conclusions(bare)) == []
    assert list(maze_conclusions({})) == []


def test_every_column_is_explained():
    for stage in MAZE_TABLES:
        columns = importlib.import_module(f"stages.{stage}").COLUMNS
        shown = with_errors(pd.DataFrame(0.0, [0], list(columns)))
        assert not set(shown) - MAZE.keys()
    assert not set(SUMMARY) - MAZE.keys()
    tables = video_tables()
    for name, brief in (
        ("tuning", methods_in_brief),
        ("milestone", milestone_in_brief),
        ("attention", attention_in_brief),
    ):
        columns = importlib.import_module(f"stages.video.{name}").COLUMNS
        assert not set(brief(pd.DataFrame(0.0, [0], list(columns)))) - VIDEO.keys()
    for name, brief in (
        ("metrics.csv", methods_in_brief),
        ("selection.csv", selection_in_brief),
        ("interpolators.csv", interpolators_in_brief),
    ):
        assert not set(brief(tables[name])) - VIDEO.keys()
    assert {term.better for term in (MAZE | VIDEO).values()} == {LESS, MORE, ""}
