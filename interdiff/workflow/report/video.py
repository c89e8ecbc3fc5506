"""What the video's report.html shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interdiff.workflow.manifest import Manifest, git_commit
from interdiff.workflow.report.page import Figures, Sections, section_parts

SECTIONS: Sections = {
    "samples": (
        "Both phases against the backbone on all frames",
        {
            "metrics.csv": "The same prompts and noise for all methods; mean ± standard error over prompts, from metrics.csv. "
            "frechet: Frechet distance from real clips on fixed features (principal components of what is where, what moves, "
            "how sharp and how lively it is, in latents); adherence: share of what prompts ask for that a tracker "
            "finds in decoded frames; clip_score: mean cosine of frames and prompt, by a CLIP; smoothness, "
            "sharpness: Wasserstein distances of their distributions from real clips'; "
            "distance: root mean squared distance from the exact sample of the same noise. full_step_units: arithmetic in "
            "passes of the backbone over all frames; guidance counts two, look and interpolator are included.",
            "cost.png": "Quality against cost in full steps (log axis), with standard errors. The line joins the backbone's.",
            "samples.gif": "From top to bottom: real clips of the prompts, then the methods in the table's order. Same noise "
            "in each column.",
            "sheet.png": "The first prompt, every fourth frame.",
            "losses.png": "Training losses: the backbone, both phases (all weights, and low-rank changes), D_phi, selectors.",
        },
    ),
    "selection": (
        "Which frames phase 1 makes",
        {
            "selection.csv": "On held-out prompts, beside the best keyframes of each clip by exact costs; mean ± standard "
            "error over clips, from selection.csv. clips: rendered ones, or the backbone's own, whose noise may be looked at. "
            "overlap_int: share of the keyframes between the ends that are among the best; cost_ratio: summed "
            "exact cost over that of the best; same_prompt, other_prompt: what the best keyframes of two clips share.",
            "frames.png": "How often each frame is chosen.",
        },
    ),
    "interpolators": (
        "Interpolators",
        {
            "interpolators.csv": "What fills the missing frames of held-out clips, by gap (latent frames from "
            "one known frame to the next); mean ± standard error over clips, from interpolators.csv. latent_l1: mean absolute "
            "error; psnr, ssim: of decoded frames against the decoded truth; vs_reference: the relative change of latent_l1, "
            "and the difference in dB, beside the first method on the same frames; worst: largest growth of a clip's squared "
            "error; uncertainty_corr: Pearson's, of expected and true errors over all places; share: arithmetic of filling "
            "a clip of Wan's size at 4 known frames, over that of one step of Wan2.1-1.3B.",
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
    "ablations": (
        "Interpolators, one change at a time",
        {"interpolator_ablations.csv": "As above, over all gaps and for the largest ones."},
    ),
}
BRIEF = ("latent_l1", "psnr", "ssim", "uncertainty_corr")


def parts(
    inputs: Mapping[str, Sequence[Path]], results: Path, records: Mapping[str, Manifest]
) -> tuple[dict[str, Any], int]:
    """What the page says of the video, and how many figures it has."""
    figures = Figures(results, {}, records)
    brief = {
        "metrics.csv": methods_in_brief,
        "selection.csv": selection_in_brief,
        "interpolators.csv": in_brief,
        "interpolator_ablations.csv": in_brief,
    }
    return {"commit": git_commit(), "sections": list(section_parts(SECTIONS, inputs, figures, brief))}, figures.count


def in_brief(interpolators: pd.DataFrame) -> pd.DataFrame:
    """interpolators.csv with each figure and its standard error in one cell."""
    changes = ("latent_l1_vs_reference", "psnr_vs_reference")
    costs = ("worst_vs_reference", "params_m", "ms_per_frame", "wan_step_share")
    table = _with_errors(interpolators, (*BRIEF, *changes))[["method", "gap", "n", *BRIEF, *changes, *costs]]
    return table.rename(columns={"worst_vs_reference": "worst", "wan_step_share": "share"})


def methods_in_brief(metrics: pd.DataFrame) -> pd.DataFrame:
    """metrics.csv with each figure and its standard error in one cell."""
    judged = [name for name in ("adherence", "clip_score") if metrics[name].notna().any()]
    figures = ("frechet", *judged, "smoothness", "sharpness", "distance")
    costs = ("full_step_units", "full_step_seconds", "flops", "seconds")
    return _with_errors(metrics, figures)[["method", "steps", "k", "n", *figures, *costs]]


def selection_in_brief(selection: pd.DataFrame) -> pd.DataFrame:
    """selection.csv in the same way."""
    figures = ("overlap", "overlap_int", "cost_ratio")
    shared = ("unique_sequences", "same_prompt", "other_prompt")
    return _with_errors(selection, figures)[["selector", "clips", "k", "n", *figures, *shared]]


def _with_errors(table: pd.DataFrame, figures: Sequence[str]) -> pd.DataFrame:
    """The table with "mean ± standard error" in place of figures, empty where there is none."""
    pairs = {name: zip(table[name], table[f"{name}_se"], strict=True) for name in figures}
    texts = {
        name: ["" if pd.isna(mean) else f"{mean:.3g} ± {error:.1g}" for mean, error in pair]
        for name, pair in pairs.items()
    }
    return table.assign(**texts)
