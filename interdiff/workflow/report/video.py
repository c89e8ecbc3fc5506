"""What the video's report.html shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interdiff.settings import BASE
from interdiff.workflow.manifest import Manifest, git_commit
from interdiff.workflow.report.conclusions import Compared, apart, sentence
from interdiff.workflow.report.glossary import VIDEO
from interdiff.workflow.report.numbers import number, with_errors
from interdiff.workflow.report.page import Figures, Sections, section_parts, tables_of

SECTIONS: Sections = {
    "data": (
        "What was read",
        {
            f"{split}.png": f"Clips of the split {split} with their captions: every fourth frame, encoded and decoded."
            for split in ("train", "val", "test")
        },
    ),
    "samples": (
        "Both phases against the backbone on all frames",
        {
            "metrics.csv": "The same prompts and noise for all methods; mean ± standard error over prompts, from metrics.csv.",
            "cost.png": "Quality against cost in full steps (log axis), with standard errors. The line joins the backbone's.",
            "ladder.png": "What each part costs: ground truth stands in for fewer parts from bar to bar (ladder.csv).",
            "samples.mp4": "From top to bottom: real clips of the prompts, then the methods in the table's order. Same noise "
            "in each column.",
            "sheet.png": "The first prompt, every fourth frame.",
            "losses.png": "Training losses: the backbone, both phases (all weights, and low-rank changes), D_phi, selectors.",
        },
    ),
    "selection": (
        "Which frames phase 1 makes",
        {
            "selection.csv": "On held-out prompts, beside the best keyframes of each clip by exact costs; mean ± standard "
            "error over clips, from selection.csv.",
            "frames.png": "How often each frame is chosen.",
        },
    ),
    "interpolators": (
        "Interpolators",
        {
            "interpolators.csv": "What fills the missing frames of held-out clips, by gap; mean ± standard error over clips, "
            "from interpolators.csv.",
            "errors.png": "Error and PSNR by gap, with standard errors over clips.",
            "best.png": "The clip on which the drawn interpolator gains most on the reference: every fourth frame, from "
            "the first to the last. Top: truth.",
            "median.png": "The clip in the middle of that order.",
            "worst.png": "The clip on which it gains least, or loses most.",
            "fields.png": "The middle of the median clip's largest gap: the frames on either side with their flows, the truth, "
            "what the interpolator makes of them, and the errors that it expects and makes.",
            "curves.png": "Training loss of each network.",
            "codec.json": "Reconstruction by the codec.",
        },
    ),
    "tuning": (
        "Settings of sampling, on validation prompts",
        {"tuning.csv": "As the first table, on prompts that metrics.csv does not have: what was chosen by."},
    ),
    "milestone": (
        "Students, teachers and both phases at their cost",
        {
            "milestone.csv": "The same prompts and noise for all; mean ± standard error over training seeds and prompts, from "
            "milestone.csv.",
            "milestone.png": "Quality against cost in full steps (log axis). The line joins the backbone's.",
        },
    ),
    "attention": (
        "Sparse attention",
        {
            "attention.csv": "The backbone with sparse attention, before and after it was adapted, beside itself with dense "
            "attention; mean ± standard error over prompts.",
            "attention_costs.png": "Arithmetic against the clip's latent frames: a pass, dense and sparse, a look and phase 1.",
            "profile.png": "Where the time of a training step goes.",
        },
    ),
    "ablations": (
        "Interpolators, one change at a time",
        {"interpolator_ablations.csv": "As above, over all gaps and for the largest ones."},
    ),
}
QUALITY = ("frechet", "adherence", "smoothness")
ATTRIBUTES = ("objects", "shapes", "directions", "speeds", "events", "times", "easy", "hard")
"""Parts of adherence."""
SELECTION = ("cost_ratio", "overlap_int")
UNREFINED, CHOSEN, FIXED = "unrefined", "selector_base", "fixed"
"""The rows of metrics.csv and selection.csv that the conclusions are about, beside those of base."""
BRIEF = ("latent_l1", "psnr", "ssim", "uncertainty_corr", "calibration")


def parts(
    inputs: Mapping[str, Sequence[Path]], results: Path, records: Mapping[str, Manifest]
) -> tuple[dict[str, Any], int]:
    """What the page says of the video, and how many figures it has."""
    figures = Figures(results, {}, records)
    brief = {
        "metrics.csv": methods_in_brief,
        "tuning.csv": methods_in_brief,
        "milestone.csv": milestone_in_brief,
        "attention.csv": attention_in_brief,
        "selection.csv": selection_in_brief,
        "interpolators.csv": in_brief,
        "interpolator_ablations.csv": in_brief,
    }
    contents = {
        "commit": git_commit(),
        "conclusions": list(conclusions(tables_of(inputs))),
        "terms": VIDEO,
        "sections": list(section_parts(SECTIONS, inputs, figures, brief)),
    }
    return contents, figures.count


def conclusions(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Sentences on both phases beside the backbone, on phase 2, on the choice of keyframes and on interpolators."""
    methods, choices = tables["metrics.csv"].set_index("method"), tables["selection.csv"]
    if BASE in methods.index:
        base, count = methods.loc[BASE], f"over {methods.loc[BASE, 'n']} prompts"
        name, reference = compared_with(methods)
        share = base["full_step_units"] / reference["full_step_units"]
        subject = f"Both phases ({BASE}), at {number(share)} of the cost, against the backbone on all frames ({name}), {count}"
        yield from sentence(subject, [paired(key, base, reference) for key in QUALITY])
        if UNREFINED in methods.index:
            figures = [apart(key, *(of(row, key) for row in (base, methods.loc[UNREFINED]))) for key in QUALITY]
            yield from sentence(f"Phase 2 against none ({UNREFINED}), {count}", figures)
        own = choices[(choices["clips"] == "generated") & (choices["k"] == base["k"])].set_index("selector")
        if {CHOSEN, FIXED} <= set(own.index):
            figures = [apart(key, *(of(own.loc[name], key) for name in (CHOSEN, FIXED))) for key in SELECTION]
            subject = (
                f"The selector's keyframes ({CHOSEN}) against one schedule for all clips ({FIXED}), K = {base['k']:.0f}"
            )
            yield from sentence(f"{subject}, over {own.loc[CHOSEN, 'n']} clips", figures)
    interpolators = tables["interpolators.csv"].query("gap == 'all'").set_index("method")
    name, reference = compared_with(interpolators)
    best = interpolators["psnr"].idxmax()
    if best != name:
        subject = f"The best interpolator ({best}) against {name}, over {interpolators.loc[best, 'n']:,} missing frames"
        yield from sentence(subject, [paired("psnr", interpolators.loc[best], reference)])


def compared_with(table: pd.DataFrame) -> tuple[str, pd.Series]:
    """The row with which all rows are compared, and its name: it alone never differs from itself."""
    errors = table.filter(like="_vs_reference_se").fillna(0.0)
    name = (errors == 0).all(axis=1).idxmax()
    return name, table.loc[name]


def paired(figure: str, ours: pd.Series, theirs: pd.Series) -> Compared:
    """A figure beside the reference's, on the same samples."""
    difference = (ours[f"{figure}_vs_reference"], ours[f"{figure}_vs_reference_se"])
    return Compared(figure, of(ours, figure), of(theirs, figure), difference)


def of(row: pd.Series, figure: str) -> tuple[float, float]:
    """A row's figure and its standard error."""
    return row[figure], row[f"{figure}_se"]


def in_brief(interpolators: pd.DataFrame) -> pd.DataFrame:
    """interpolators.csv with each figure and its standard error in one cell."""
    changes = ("latent_l1_vs_reference", "psnr_vs_reference")
    costs = ("worst_vs_reference", "params_m", "ms_per_frame", "wan_step_share")
    table = with_errors(interpolators, (*BRIEF, *changes))[["method", "gap", "n", *BRIEF, *changes, *costs]]
    return table.rename(columns={"worst_vs_reference": "worst", "wan_step_share": "share"})


def methods_in_brief(metrics: pd.DataFrame) -> pd.DataFrame:
    """metrics.csv, or tuning.csv, with each figure and its standard error in one cell."""
    asked = [name for name in ("method", "changed", "chosen", "steps", "k", "n") if name in metrics]
    figures = judged(metrics)
    costs = ("full_step_units", "full_step_seconds", "flops", "seconds")
    return with_errors(metrics, figures)[[*asked, *figures, *costs]]


def judged(methods: pd.DataFrame) -> list[str]:
    """The figures of clips that were measured for some method of a table."""
    measured = [name for name in ("adherence", *ATTRIBUTES, "clip_score") if methods[name].notna().any()]
    return ["frechet", *measured, "smoothness", "sharpness", "distance"]


def milestone_in_brief(milestone: pd.DataFrame) -> pd.DataFrame:
    """milestone.csv in the same way, without what was not measured."""
    known = ("method", "frames", "steps", "k", "passes", "attention", "seeds", "n")
    figures = [*judged(milestone), *(["diversity"] if milestone["diversity"].notna().any() else [])]
    return with_errors(milestone, figures)[[*known, *figures, "full_step_units", "full_step_seconds"]]


def attention_in_brief(attention: pd.DataFrame) -> pd.DataFrame:
    """attention.csv in the same way."""
    figures = ("frechet", "adherence", "smoothness", "sharpness", "distance")
    known = ("kind", "feature_map", "keep", "adapted", "reuse", "frames", "n", "velocity_error", "mass", "flops")
    return with_errors(attention, figures)[[*known, *figures]]


def selection_in_brief(selection: pd.DataFrame) -> pd.DataFrame:
    """selection.csv in the same way."""
    figures = ("overlap", "overlap_int", "cost_ratio")
    shared = ("unique_sequences", "same_prompt", "other_prompt")
    return with_errors(selection, figures)[["selector", "clips", "k", "n", *figures, *shared]]
