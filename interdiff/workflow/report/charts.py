"""Charts of the report, as SVG: bars, and the graph of rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from matplotlib import pyplot as plt

from interdiff.workflow.manifest import Manifest
from interdiff.workflow.report.provenance import rule_graph, topological

ROW, LEFT, WIDTH = 26, 230, 460


def bars(groups: Mapping[str, Mapping[str, Sequence[float]]], labels: Sequence[str], title: str) -> str:
    """Bars as an inline SVG, one panel per group.

    Args:
        groups: per panel and per row (from top to bottom), one value per label.
    """
    size = (3.2 * len(groups), 3.1)
    same = len({tuple(rows) for rows in groups.values()}) == 1
    figure, panels = plt.subplots(1, len(groups), figsize=size, sharey=same, squeeze=False, layout="constrained")
    height = 0.8 / len(labels)
    for panel, (name, rows) in zip(panels[0], groups.items(), strict=True):
        for shift, label in enumerate(labels):
            places = [row + shift * height for row in range(len(rows))]
            panel.barh(places, [values[shift] for values in rows.values()], height, label=label)
        panel.set_yticks([row + 0.4 - height / 2 for row in range(len(rows))], list(rows))
        panel.set(title=name, xlabel=title)
        panel.invert_yaxis()
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels), fontsize=8)
    # Fixed names inside: equal numbers give an equal file.
    stream = StringIO()
    with plt.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(figure)
    return stream.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]


def graph_svg(edges: Sequence[tuple[str, str]], notes: Mapping[str, str]) -> str:
    """Rules from top to bottom with an arc from each to every rule that reads its files, as an inline SVG."""
    order = {name: row for row, name in enumerate(topological(edges))}
    arcs = [_arc(order[a], order[b]) for a, b in edges]
    names = [
        f'<circle cx="{LEFT}" cy="{_y(row)}" r="4"/>'
        f'<text x="{LEFT + 14}" y="{_y(row) + 5}">{name} <tspan class="quiet">{notes.get(name, "")}</tspan></text>'
        for name, row in order.items()
    ]
    height = ROW * len(order) + 10
    return (
        f'<svg class="graph" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="9" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L6 3L0 6z"/></marker></defs>' + "".join(arcs) + "".join(names) + "</svg>"
    )


def _y(row: int) -> int:
    return ROW * row + ROW // 2


def _arc(first: int, last: int) -> str:
    reach = LEFT - min(LEFT - 10, 24 * (last - first) ** 0.9) if last - first > 1 else LEFT
    path = f"M{LEFT} {_y(first)}C{reach:.0f} {_y(first)} {reach:.0f} {_y(last)} {LEFT} {_y(last)}"
    return f'<path class="arc" d="{path}" marker-end="url(#tip)"/>'


def workflow_graph(
    records: Mapping[str, Manifest], inputs: Sequence[str], times: Sequence[Mapping[str, Any]]
) -> str | None:
    """The rules behind a report's inputs as an inline SVG, each with its number of jobs; None where no record is left."""
    edges = rule_graph(records, inputs, "report")
    repeated = {row["rule"]: f"{row['jobs']} jobs" for row in times if row["jobs"] > 1}
    return graph_svg(edges, repeated) if edges else None
