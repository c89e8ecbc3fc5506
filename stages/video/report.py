"""results/video/report.html: tables, captioned pictures and the workflow, in one file."""

from interdiff.files import atomic_path
from interdiff.settings import NoSettings
from interdiff.workflow.manifest import git_commit, relative_to
from interdiff.workflow.report.charts import workflow_graph
from interdiff.workflow.report.page import Figures, page, rows_table, section_parts, timings
from interdiff.workflow.report.provenance import makers
from interdiff.workflow.report.video import SECTIONS, in_brief, methods_in_brief, selection_in_brief
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads tables and pictures by section; writes the `report`."""
    records = makers(stage.results)
    inputs = [relative_to(stage.results, path) for paths in stage.inputs.values() for path in paths]
    times = timings(stage.results / "video/benchmarks")
    brief = {
        "metrics.csv": methods_in_brief,
        "selection.csv": selection_in_brief,
        "interpolators.csv": in_brief,
        "interpolator_ablations.csv": in_brief,
    }
    figures = Figures(stage.results, {}, records)
    sections = list(section_parts(SECTIONS, stage.inputs, figures, brief))
    html = page(
        title="Interpolated diffusion: video",
        commit=git_commit(),
        sections=sections,
        graph=workflow_graph(records, inputs, times),
        graph_number=figures.count + 1,
        timings=rows_table(times),
    )
    with atomic_path(stage.outputs["report"]) as temporary:
        temporary.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run_stage(main, NoSettings)
