"""What the maze's report.html shows: variants with their pictures, and tables and pictures of what was asked for besides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interdiff.files import read_json
from interdiff.maze.evaluation.ablations import ALL
from interdiff.settings import BASE
from interdiff.workflow.manifest import Manifest
from interdiff.workflow.report.charts import bars
from interdiff.workflow.report.conclusions import Compared, apart, mean_of, sentence
from interdiff.workflow.report.glossary import MAZE
from interdiff.workflow.report.numbers import with_error
from interdiff.workflow.report.page import Figures, Sections, rows_table, section_parts, shared_artifacts, tables_of
from interdiff.workflow.tracking.connection import flat
from interdiff.workflow.tracking.store import averages

HEADLINE = ("collision_interp", "collision_refined", "crossed_interp", "crossed_refined", "mse_interp", "mse_refined")
COSTS = ("cost_ratio", "nfe", "plan_ms")
SUMMARY = (*HEADLINE, *COSTS)
COLUMNS = (*HEADLINE, "mse_oracle_interp", "mse_oracle_refined", "fixed", "broken", *COSTS)
SECTIONS: Sections = {
    "selection": (
        "Ways to choose keyframes",
        {
            "selection.csv": "Cost of the chosen keyframes over that of the best ones, by layout and K; from selection.csv."
        },
    ),
    "rollouts": (
        "Planners in the simulator",
        {
            "rollouts.csv": "Every planner drives the ball from the same starts to the same goals with the same tracker; from "
            "rollouts.csv.",
            "driven.png": "What each planner drove in the first episodes of a task, not picked; a row per layout. Dot: start. "
            "Star: goal.",
            "compute.png": "Score against token evaluations per plan, means over layouts with their standard errors. Lines: "
            "policies that see the map and the state at every step.",
            "plan.gif": "One plan being made and driven: keyframes of phase 1, interpolated, refined by phase 2, then driven.",
        },
    ),
    "unseen": (
        "Mazes never trained on",
        {
            "unseen.csv": "Plans in random mazes that no network was trained on, driven between random cells by the same "
            "tracker, beside policies that see the map and the state at every step; from unseen.csv. Standard errors are over "
            "mazes."
        },
    ),
    "controls": (
        "Controls",
        {
            "controls.csv": "Variants that do without a part of the method, beside base: means over training seeds and held-out"
            " sequences with their standard errors, and paired differences from base; from controls.csv."
        },
    ),
    "budget": (
        "What keyframes buy",
        {
            "budget.csv": "Plans by who chooses keyframes and how many, beside planners without; mean ± standard error over "
            "training seeds and held-out sequences, from budget.csv.",
            "budget.png": "Quality against token evaluations per plan.",
        },
    ),
    "ablations": (
        "One change at a time",
        {
            f"{name}.csv": "Means over all layouts' held-out sequences with standard errors; in brackets the paired "
            f"difference from base. From {name}.csv, which has them by layout too."
            for name in ("ablations", "quick_ablations")
        },
    ),
    "diagnostics": (
        "What goes on in the plans",
        {
            "levels.png": "Phase 2 at each level of nested masks: largest gap between anchors (frames), root mean square move "
            "of a point (cells), and squared error before and after one pass, with exact anchors and with phase 1's.",
            "indices.png": "How often each frame is chosen as a keyframe, by the selector and by the exact optimum.",
            "failures.png": "The worst plans of the variant: those through walls first, then those farthest from the "
            "demonstration. Why each is bad stands in the table.",
            "failures.csv": "The worst plans, in the picture's order.",
        },
    ),
}
CONTROLS = {"shortest_path_planned": "the search's path, driven alike", "full_sequence": "full-sequence diffusion"}
"""Planners of rollouts.csv that ours is compared with, the one that could sink it first."""
CHANGES = {
    "identity": "Phase 2 against none",
    "uniform": "The selector's keyframes against equally spaced ones",
    "exact_cost": "The selector's keyframes against those by the ground truth's costs",
}
"""Variants in the table of ablations that base is compared with first."""
OURS = "two_phase"
COMPARED = ("mse_refined", "crossed_refined")
Means = Mapping[str, Mapping[str, float]]
"""Averages of each variant's rows of metrics.csv: over all by column, by layout by "column.layout"."""


def parts(
    inputs: Mapping[str, Sequence[Path]], results: Path, records: Mapping[str, Manifest]
) -> tuple[dict[str, Any], int]:
    """What the page says of the maze, and how many figures it has."""
    record = read_json(inputs["record"][0])
    means = {name: averages(variant["metrics"]) for name, variant in record["variants"].items()}
    figures = Figures(results, record["artifacts"], records, count=1)
    variants = list(variant_parts(record, means, figures))
    brief = dict.fromkeys(("ablations.csv", "quick_ablations.csv"), in_brief)
    contents = {
        "conclusions": list(conclusions(tables_of(inputs))),
        "terms": MAZE,
        "commit": record["git_commit"],
        "summary": rows_table({"variant": name} | {key: means[name].get(key) for key in SUMMARY} for name in means),
        "chart": crossings_chart(record, means),
        "variants": variants,
        "sections": list(section_parts(SECTIONS, inputs, figures, brief)),
        "artifacts": rows_table(shared_artifacts(record)),
    }
    return contents, figures.count


def crossings_chart(record: Mapping[str, Any], means: Means) -> str:
    """Crossings before and after phase 2 as an inline SVG, a panel per layout."""
    layouts = dict.fromkeys(row["layout"] for variant in record["variants"].values() for row in variant["metrics"])
    figures = ("crossed_interp", "crossed_refined")
    panels = {
        item: {
            name: [own[f"{key}.{item}"] for key in figures]
            for name, own in means.items()
            if f"{figures[0]}.{item}" in own
        }
        for item in layouts
    }
    return bars(panels, ("interpolated", "refined"), "share of plans")


def variant_parts(record: Mapping[str, Any], means: Means, figures: Figures) -> Iterator[dict[str, Any]]:
    """Each reported variant: its changes, a table by layout, and those of its pictures that no other one has shown."""
    shown: set[str] = set()
    for name, variant in record["variants"].items():
        layouts = dict.fromkeys(row["layout"] for row in variant["metrics"])
        rows = [{"layout": item} | {key: means[name].get(f"{key}.{item}") for key in COLUMNS} for item in layouts]
        own = [figures.add(path, _caption(name, path)) for path in variant["pictures"] if path not in shown]
        shown.update(variant["pictures"])
        yield {"name": name, "changes": flat(variant["changes"]), "table": rows_table(rows), "figures": own}


def _caption(variant: str, path: str) -> str:
    name = Path(path).stem
    if name == "curves":
        return f"{variant}: losses of the networks behind the plans, of training and of validation sequences."
    return (
        f"{variant}: plans for the first held-out starts and goals in {name}, not picked. Dashed: the demonstration. "
        "Orange: phase 1's keyframes, interpolated. Blue: after phase 2."
    )


def conclusions(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Sentences on our planner beside others, on single changes of base, and on the choice of keyframes, as far as there
    are tables of them."""
    if "rollouts.csv" in tables:
        yield from driving(tables["rollouts.csv"])
    for name in ("ablations.csv", "quick_ablations.csv"):
        if name in tables:
            yield from changing(tables[name])
    if "selection.csv" in tables:
        yield from choosing(tables["selection.csv"])


def driving(rollouts: pd.DataFrame) -> Iterator[str]:
    """Our planner beside its controls, over the tasks and maps of rollouts.csv."""
    table = rollouts.assign(success_se=np.sqrt(rollouts["success"] * (1 - rollouts["success"]) / rollouts["n"]))
    planners = dict(list(table.groupby("planner")))
    for name, control in CONTROLS.items():
        if {OURS, name} <= planners.keys():
            both = [apart(key, *(mean_of(planners[own], key) for own in (OURS, name))) for key in ("score", "success")]
            episodes = planners[OURS]["n"].sum()
            yield from sentence(f"Two phases ({OURS}) against {control} ({name}), over {episodes:,} episodes", both)


def changing(ablations: pd.DataFrame) -> Iterator[str]:
    """base beside variants on the same held-out sequences: the differences are paired."""
    variants = dict(list(ablations[ablations["layout"] == ALL].groupby("variant", sort=False)))
    for name in [*(name for name in CHANGES if name in variants), *(name for name in variants if name not in CHANGES)]:
        rows = variants[name].drop_duplicates("figure").set_index("figure")
        compared = []
        for key in COMPARED:
            mean, error, difference, difference_error = rows.loc[key, ["mean", "se", "difference", "difference_se"]]
            ours = (mean - difference, math.nan)
            compared.append(Compared(key, ours, (mean, error), (-difference, difference_error)))
        subject = CHANGES.get(name, f"{BASE} against another variant")
        yield from sentence(f"{subject} ({name}), over {rows.loc[COMPARED[0], 'n']:,} held-out sequences", compared)


def choosing(selection: pd.DataFrame) -> Iterator[str]:
    """The selector beside the estimated limit of choosing by the condition alone, means over rows of selection.csv."""
    known = selection.dropna(subset=["limit", "limit_se"])
    ours, limit = (float(known["selector"].mean()), math.nan), mean_of(known, "limit")
    subject = "The selector's keyframes against what map, start and goal alone could tell (limit), over layouts and K"
    yield from sentence(subject, [Compared("cost_ratio", ours, limit, (ours[0] - limit[0], limit[1]))])


def in_brief(ablations: pd.DataFrame) -> pd.DataFrame:
    """ablations.csv -> a row per ablation and variant, over all layouts: "mean ± se (difference ± se)" per figure."""
    rows = ablations[ablations["layout"] == ALL]
    cells = [
        f"{with_error(row.mean, row.se)} ({with_error(row.difference, row.difference_se, signed=True)})"
        for row in rows[["mean", "se", "difference", "difference_se"]].itertuples()
    ]
    variants = rows.assign(cell=cells).set_index("figure").groupby(["ablation", "variant"], sort=False)
    return pd.DataFrame([{"ablation": group, "variant": name, **own["cell"]} for (group, name), own in variants])
