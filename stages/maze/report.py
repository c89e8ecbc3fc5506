"""results/maze/report.html: tables, captioned pictures, the workflow and where everything comes from, in one file."""

from __future__ import annotations

from interdiff.files import atomic_path, read_json
from interdiff.maze.evaluation.ablations import in_brief
from interdiff.settings import NoSettings
from interdiff.workflow.manifest import relative_to
from interdiff.workflow.report.charts import workflow_graph
from interdiff.workflow.report.maze import SECTIONS, SUMMARY, crossings_chart, variant_parts
from interdiff.workflow.report.page import Figures, page, rows_table, section_parts, shared_artifacts, timings
from interdiff.workflow.report.provenance import makers
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from interdiff.workflow.tracking.store import averages


def main(stage: Stage) -> None:
    """Reads the variants' `record`, `pictures` and what else there is of tables and their pictures; writes the `report`."""
    record = read_json(stage.path("record"))
    records = makers(stage.results)
    means = {name: averages(variant["metrics"]) for name, variant in record["variants"].items()}
    figures = Figures(stage.results, record["artifacts"], records, count=1)
    variants = list(variant_parts(record, means, figures))
    brief = dict.fromkeys(("ablations.csv", "quick_ablations.csv"), in_brief)
    sections = list(section_parts(SECTIONS, stage.inputs, figures, brief))
    inputs = [relative_to(stage.results, path) for name in stage.inputs for path in stage.inputs[name]]
    times = timings(stage.results / "maze/benchmarks")
    html = page(
        title="Interpolated diffusion: maze",
        commit=record["git_commit"],
        summary=rows_table({"variant": name} | {key: means[name].get(key) for key in SUMMARY} for name in means),
        chart=crossings_chart(record, means),
        variants=variants,
        sections=sections,
        graph=workflow_graph(records, inputs, times),
        graph_number=figures.count + 1,
        timings=rows_table(times),
        artifacts=rows_table(shared_artifacts(record)),
    )
    with atomic_path(stage.outputs["report"]) as temporary:
        temporary.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run_stage(main, NoSettings)
