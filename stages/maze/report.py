"""results/maze/report.html: tables, captioned pictures, the workflow and where everything comes from, in one file."""

from __future__ import annotations

from typing import Any

from interdiff.files import atomic_path, read_json
from interdiff.manifest import relative_to
from interdiff.maze.report import SUMMARY, crossings_chart, section_parts, variant_parts
from interdiff.provenance import makers, rule_graph
from interdiff.report import Figures, graph_svg, page, rows_table, shared_artifacts, timings
from interdiff.runs import averages
from interdiff.settings import NoSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads the variants' `record`, `pictures` and what else there is of tables and their pictures; writes the `report`."""
    record = read_json(stage.path("record"))
    records = makers(stage.results)
    means = {name: averages(variant["metrics"]) for name, variant in record["variants"].items()}
    figures = Figures(stage.results, record["artifacts"], records)
    variants = list(variant_parts(record, means, figures))
    sections = list(section_parts(stage.inputs, figures))
    inputs = [relative_to(stage.results, path) for name in stage.inputs for path in stage.inputs[name]]
    times = timings(stage.results / "maze/benchmarks")
    html = page(
        title="Interpolated diffusion: maze",
        commit=record["git_commit"],
        summary=rows_table({"variant": name} | {key: means[name].get(key) for key in SUMMARY} for name in means),
        chart=crossings_chart(record, means),
        variants=variants,
        sections=sections,
        graph=_graph(rule_graph(records, inputs, "report"), times),
        graph_number=figures.count + 1,
        timings=rows_table(times),
        artifacts=rows_table(shared_artifacts(record)),
    )
    with atomic_path(stage.outputs["report"]) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _graph(edges: list[tuple[str, str]], times: list[dict[str, Any]]) -> str | None:
    repeated = {row["rule"]: f"{row['jobs']} jobs" for row in times if row["jobs"] > 1}
    return graph_svg(edges, repeated) if edges else None


if __name__ == "__main__":
    run_stage(main, NoSettings)
