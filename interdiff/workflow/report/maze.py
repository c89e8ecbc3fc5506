"""What the maze's report.html shows: variants with their pictures, and tables and pictures of what was asked for besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from interdiff.files import read_json
from interdiff.maze.evaluation.ablations import in_brief
from interdiff.workflow.manifest import Manifest
from interdiff.workflow.report.charts import bars
from interdiff.workflow.report.page import Figures, Sections, rows_table, section_parts, shared_artifacts
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
            "selection.csv": "Cost of the chosen keyframes over that of the best ones, by layout and number of keyframes K; "
            "from selection.csv. limit: what any selector that sees the condition alone can be expected to reach."
        },
    ),
    "rollouts": (
        "Planners in the simulator",
        {
            "rollouts.csv": "Every planner drives the ball from the same starts to the same goals with the same tracker; from "
            "rollouts.csv. score: D4RL's normalised score, on its maps, with its standard error; success: share of "
            "episodes that touch the goal; first_reach: their first step there; plan_ms: median time of a plan at batch 1; "
            "token_evals: tokens through all networks per plan. name/tracker: the same plans with another tracker; "
            "name_retimed: a baseline's paths driven as fast as the motors allow.",
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
            "tracker, beside policies that see the map and the state at every step; from unseen.csv. success: share of "
            "episodes that touch the goal, with its standard error over mazes; crossed: share of plans that leave free space."
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
        item: {name: [means[name].get(f"{key}.{item}", 0) for key in figures] for name in means} for item in layouts
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
        return f"{variant}: training loss of the networks behind the plans."
    return (
        f"{variant}: plans for the first held-out starts and goals in {name}, not picked. Dashed: the demonstration. "
        "Orange: phase 1's keyframes, interpolated. Blue: after phase 2."
    )
