"""The jobs of the maze pipeline, and what follows from what."""

import yaml
from conftest import ROOT

VARIANTS = tuple(yaml.safe_load((ROOT / "config.yaml").read_text())["maze"]["report"]["variants"])
ABLATED = ("all_levels", "exact_cost")
LAYOUTS = ("umaze", "medium", "large")
JOBS = {
    "demonstrations": LAYOUTS,
    "prepare": ("base",),
    "masks": ("base train", "base val", "base test"),
    "segment_cost": ("base",),
    "selector": ("base",),
    "keyframes": ("base",),
    "anchors": ("base train", "base val"),
    "refiner": ("base",),
    "samples": (*VARIANTS, *ABLATED),
    "selection": ("",),
    "gallery": tuple(f"{variant} {layout}" for variant in ("base", "uniform") for layout in LAYOUTS),
    "curves": ("base", "uniform"),
    "metrics": ("",),
    "ablations": ("quick_ablations",),
}


def exactly(*names):
    """A set of jobs; the name of a rule stands for all of its jobs."""
    return {f"{name} {job}".strip() for name in names for job in JOBS.get(name, ("",))}


ALL = tuple(JOBS)
NOTHING = ()
SAMPLED = ("samples", "gallery", "metrics", "ablations")
REFINED = ("refiner", "curves", *SAMPLED)
PHASE_1 = ("keyframes", "anchors", *REFINED)
SELECTED = ("selector", "selection", *PHASE_1)
COSTED = ("segment_cost", *SELECTED)
MASKED = ("masks", *COSTED)
PREPARED = ("prepare", *MASKED)
ONE_LAYOUT = ("demonstrations umaze", *PREPARED)
