"""results/maze/report.html: tables, captioned pictures, the workflow and where everything comes from, in one file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.files import atomic_path, file_sha256, read_csv, read_json
from interdiff.manifest import Manifest, relative_to
from interdiff.maze.ablations import in_brief
from interdiff.maze.captions import SECTIONS
from interdiff.provenance import makers, rule, rule_graph
from interdiff.report import bars, embedded, graph_svg, page, rows_table
from interdiff.runs import averages, usage
from interdiff.settings import NoSettings
from interdiff.tracking import flat
from stages.runner import Stage, run_stage

HEADLINE = ("collision_interp", "collision_refined", "crossed_interp", "crossed_refined", "mse_interp", "mse_refined")
COSTS = ("cost_ratio", "nfe", "plan_ms")
SUMMARY = (*HEADLINE, *COSTS)
COLUMNS = (*HEADLINE, "mse_oracle_interp", "mse_oracle_refined", "fixed", "broken", *COSTS)


def main(stage: Stage) -> None:
    """Reads the variants' `record`, `pictures` and what else there is of tables and their pictures; writes the `report`."""
    record = read_json(stage.path("record"))
    records = makers(stage.results)
    means = {name: averages(variant["metrics"]) for name, variant in record["variants"].items()}
    figures = _Figures(stage, record["artifacts"], records)
    variants = list(_variants(record, means, figures))
    sections = list(_sections(stage, figures))
    inputs = [relative_to(stage.results, path) for name in stage.inputs for path in stage.inputs[name]]
    timings = _timings(stage.results / "maze/benchmarks")
    html = page(
        title="Interpolated diffusion: maze",
        commit=record["git_commit"],
        summary=rows_table({"variant": name} | {key: means[name].get(key) for key in SUMMARY} for name in means),
        chart=_chart(record, means),
        variants=variants,
        sections=sections,
        graph=_graph(rule_graph(records, inputs, "report"), timings),
        graph_number=figures.count + 1,
        timings=rows_table(timings),
        artifacts=rows_table(_artifacts(record)),
    )
    with atomic_path(stage.outputs["report"]) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _chart(record: Mapping[str, Any], means: Mapping[str, Mapping[str, float]]) -> str:
    """Crossings before and after phase 2, a panel per layout."""
    layouts = dict.fromkeys(row["layout"] for variant in record["variants"].values() for row in variant["metrics"])
    figures = ("crossed_interp", "crossed_refined")
    panels = {
        item: {name: [means[name].get(f"{key}.{item}", 0) for key in figures] for name in means} for item in layouts
    }
    return bars(panels, ("interpolated", "refined"), "share of plans")


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _graph(edges: list[tuple[str, str]], timings: list[dict[str, Any]]) -> str | None:
    repeated = {row["rule"]: f"{row['jobs']} jobs" for row in timings if row["jobs"] > 1}
    return graph_svg(edges, repeated) if edges else None


@dataclass
class _Figures:
    """Numbered pictures with where they come from; Figure 1 is the chart."""

    stage: Stage
    artifacts: Mapping[str, Any]
    records: Mapping[str, Manifest]
    count: int = 1

    def add(self, path: str, caption: str) -> dict[str, Any]:
        """The next figure: a picture by its path below the results root."""
        file = self.stage.results / path
        if path not in self.records:
            raise InputError(f"{file}: no record of how it was made; make it again by: snakemake --force {file}")
        self.count += 1
        inputs = [(item, self.artifacts.get(os.path.dirname(item), {})) for item in self.records[path].inputs]
        return {
            "number": self.count,
            "path": str(file),
            "image": embedded(file),
            "caption": caption,
            "digest": file_sha256(file)[:16],
            "rule": rule(self.records[path]),
            "inputs": [(item, artifact.get("identity", "")[:16]) for item, artifact in inputs],
            "command": f"snakemake --force {file}",
        }


def _variants(
    record: Mapping[str, Any], means: Mapping[str, Mapping[str, float]], figures: _Figures
) -> Iterator[dict[str, Any]]:
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
        "Orange: phase 1's keypoints, interpolated. Blue: after phase 2."
    )


def _sections(stage: Stage, figures: _Figures) -> Iterator[dict[str, Any]]:
    """What the report is given beside the variants' samples: tables by caption, and figures."""
    for name, (title, captions) in SECTIONS.items():
        if paths := stage.inputs.get(name):
            tables = {captions[path.name]: _table(path) for path in paths if path.suffix == ".csv"}
            drawn = [path for path in paths if path.suffix != ".csv"]
            own = [figures.add(relative_to(stage.results, path), captions[path.name]) for path in drawn]
            yield {"name": name, "title": title, "tables": tables, "figures": own}


def _table(path: Path) -> dict[str, Any]:
    rows = read_csv(path)
    return rows_table(in_brief(rows) if path.stem == "ablations" else map(_values, rows))


def _values(row: Mapping[str, str]) -> dict[str, float | str]:
    return {key: _value(text) for key, text in row.items()}


def _timings(folder: Path) -> list[dict[str, Any]]:
    rules: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        rules.setdefault(path.relative_to(folder).parts[0].removesuffix(".tsv"), []).extend(
            read_csv(path, delimiter="\t")
        )
    rows = [{"rule": name, "jobs": len(rows)} | usage(rows) for name, rows in rules.items() if rows]
    return sorted(rows, key=lambda row: -row["job_seconds"])


def _artifacts(record: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for folder, artifact in record["artifacts"].items():
        users = [name for name, variant in record["variants"].items() if folder in variant["artifacts"].values()]
        yield {
            "artifact": folder,
            "used by": ", ".join(users),
            "identity": artifact["identity"][:16],
            "spec": artifact["spec"],
        }


if __name__ == "__main__":
    run_stage(main, NoSettings)
