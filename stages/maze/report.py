"""results/maze/report.html: tables, captioned pictures, the workflow and where everything comes from, in one file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.files import atomic_path, file_sha256, read_csv, read_json
from interdiff.manifest import Manifest, relative_to
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
    """Reads the variants' `record`, `pictures` and, if there is one, the table `selection`; writes the `report`."""
    record = read_json(stage.path("record"))
    records = makers(stage.results)
    means = {name: averages(variant["metrics"]) for name, variant in record["variants"].items()}
    variants = list(_variants(stage, record, means, records))
    inputs = [relative_to(stage.results, path) for name in stage.inputs for path in stage.inputs[name]]
    timings = _timings(stage.results / "maze/benchmarks")
    html = page(
        title="Interpolated diffusion: maze",
        commit=record["git_commit"],
        summary=rows_table({"variant": name} | {key: means[name].get(key) for key in SUMMARY} for name in means),
        chart=_chart(record, means),
        variants=variants,
        selection=_selection(stage),
        graph=_graph(rule_graph(records, inputs, "report"), timings),
        graph_number=2 + sum(len(variant["figures"]) for variant in variants),
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


def _selection(stage: Stage) -> dict[str, Any] | None:
    if "selection" not in stage.inputs:
        return None
    rows = read_csv(stage.path("selection"))
    return rows_table({key: _value(text) for key, text in row.items()} for row in rows)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _graph(edges: list[tuple[str, str]], timings: list[dict[str, Any]]) -> str | None:
    repeated = {row["rule"]: f"{row['jobs']} jobs" for row in timings if row["jobs"] > 1}
    return graph_svg(edges, repeated) if edges else None


def _variants(
    stage: Stage, record: Mapping[str, Any], means: Mapping[str, Mapping[str, float]], records: Mapping[str, Manifest]
) -> Iterator[dict[str, Any]]:
    count, shown = 1, set()
    for name, variant in record["variants"].items():
        layouts = dict.fromkeys(row["layout"] for row in variant["metrics"])
        rows = [{"layout": item} | {key: means[name].get(f"{key}.{item}") for key in COLUMNS} for item in layouts]
        figures = []
        for path in variant["pictures"]:
            if path not in shown:
                shown.add(path)
                count += 1
                figures.append({"number": count} | _figure(stage, name, path, record["artifacts"], records))
        yield {"name": name, "changes": flat(variant["changes"]), "table": rows_table(rows), "figures": figures}


def _figure(
    stage: Stage, variant: str, path: str, artifacts: Mapping[str, Any], records: Mapping[str, Manifest]
) -> dict[str, Any]:
    name, file = Path(path).stem, stage.results / path
    if path not in records:
        raise InputError(f"{file}: no record of how it was made; make it again by: snakemake --force {file}")
    inputs = [(item, artifacts.get(os.path.dirname(item), {})) for item in records[path].inputs]
    plans = (
        f"{variant}: plans for the first held-out starts and goals in {name}, not picked. Dashed: the demonstration. "
    )
    plans += "Orange: phase 1's keypoints, interpolated. Blue: after phase 2."
    return {
        "path": str(file),
        "image": embedded(file),
        "caption": f"{variant}: training loss of the networks behind the plans." if name == "curves" else plans,
        "digest": file_sha256(file)[:16],
        "rule": rule(records[path]),
        "inputs": [(item, artifact.get("identity", "")[:16]) for item, artifact in inputs],
        "command": f"snakemake --force {file}",
    }


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
