"""report.html of a domain: tables, captioned pictures, the workflow and where everything comes from, in one file."""

from importlib import import_module

from interdiff.files import atomic_path
from interdiff.workflow.manifest import relative_to
from interdiff.workflow.pipelines.pipeline import ReportStageSettings
from interdiff.workflow.report.charts import workflow_graph
from interdiff.workflow.report.page import page, rows_table, timings
from interdiff.workflow.report.provenance import makers
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads tables and pictures by section, and the maze's `record` of variants; writes the `report`."""
    domain = stage.settings.domain
    records = makers(stage.results)
    parts, figures = import_module(f"interdiff.workflow.report.{domain}").parts(stage.inputs, stage.results, records)
    inputs = [relative_to(stage.results, path) for paths in stage.inputs.values() for path in paths]
    times = timings(stage.results / domain / "benchmarks")
    html = page(
        title=f"Interpolated diffusion: {domain}",
        graph=workflow_graph(records, inputs, times),
        graph_number=figures + 1,
        timings=rows_table(times),
        **parts,
    )
    with atomic_path(stage.outputs["report"]) as temporary:
        temporary.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run_stage(main, ReportStageSettings)
