"""A self-contained page of results: pictures and styles are inside the file, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from interdiff.errors import InputError
from interdiff.files import file_sha256
from interdiff.tables import read_table, read_tables
from interdiff.workflow.manifest import Manifest, relative_to
from interdiff.workflow.report.conclusions import COUNT
from interdiff.workflow.report.glossary import Term, glossary
from interdiff.workflow.report.numbers import number, with_errors
from interdiff.workflow.report.provenance import rule
from interdiff.workflow.tracking.store import usage


def embedded(path: str | Path) -> str:
    """A PNG, GIF or MP4 as an address that carries its own content."""
    path = Path(path)
    kind = "video" if path.suffix == ".mp4" else "image"
    return f"data:{kind}/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode()


@dataclass
class Figures:
    """Numbered pictures with where they come from.

    results: root folder, artifacts: by folder, as in the record of variants, records: of the files' makers by path,
    count: of figures before the first of these.
    """

    results: Path
    artifacts: Mapping[str, Any]
    records: Mapping[str, Manifest]
    count: int = 0

    def add(self, path: str, caption: str) -> dict[str, Any]:
        """The next figure: a picture by its path below the results root.

        Raises:
            InputError: no stage recorded that it made the picture.
        """
        file = self.results / path
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


Sections = Mapping[str, tuple[str, Mapping[str, str]]]
"""Section -> title, and caption by file name; a section is shown if the report is given its files."""


def section_parts(
    sections: Sections,
    inputs: Mapping[str, Sequence[Path]],
    figures: Figures,
    shortened: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]],
) -> Iterator[dict[str, Any]]:
    """Of each section whose files are given: its tables by caption, and its pictures.

    shortened: what is shown of a table, by file name; all of it, figures with their errors, where there is none.
    """
    for name, (title, captions) in sections.items():
        if paths := inputs.get(name):
            tables = {}
            for path in (path for path in paths if path.suffix == ".csv"):
                shown = shortened.get(path.name, with_errors)(read_table(path))
                tables[captions[path.name]] = rows_table(shown)
            drawn = [path for path in paths if path.suffix != ".csv"]
            own = [figures.add(relative_to(figures.results, path), captions[path.name]) for path in drawn]
            yield {"name": name, "title": title, "tables": tables, "figures": own}


def timings(folder: Path) -> list[dict[str, Any]]:
    """Jobs, time and memory by rule, from its benchmark files in or below a folder, the longest first."""
    rules: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        rules.setdefault(path.relative_to(folder).parts[0].removesuffix(".tsv"), []).append(path)
    tables = {name: read_tables(paths) for name, paths in rules.items()}
    rows = [{"rule": name, "jobs": len(table)} | usage(table) for name, table in tables.items() if len(table)]
    return sorted(rows, key=lambda row: -row["job_seconds"])


def shared_artifacts(record: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Each artifact of a record of variants: which of them use it, its identity and its settings' digest."""
    for folder, artifact in record["artifacts"].items():
        users = [name for name, variant in record["variants"].items() if folder in variant["artifacts"].values()]
        yield {
            "artifact": folder,
            "used by": ", ".join(users),
            "identity": artifact["identity"][:16],
            "spec": artifact["spec"],
        }


def page(terms: Mapping[str, Term], conclusions: Sequence[str], **content: Any) -> str:
    """The HTML page; see the template for what else it is made of.

    A page without variants has no `summary`, `chart`, `variants` and `artifacts`.

    Args:
        terms: what columns mean.
        conclusions: sentences to begin with, the most important first.
    """
    content = {"summary": None, "chart": None, "variants": [], "artifacts": None} | content
    columns = [column for table in _tables(content) for column in table["columns"]]
    content |= {
        "glossary": rows_table(glossary(terms, columns)),
        "meanings": {name: terms[name].meaning for name in columns},
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(TEMPLATE).render(conclusions=conclusions[:COUNT], **content)


def _tables(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (content[name] for name in ("summary", "timings", "artifacts") if content[name])
    yield from (variant["table"] for variant in content["variants"])
    yield from (table for section in content["sections"] for table in section["tables"].values())


def tables_of(inputs: Mapping[str, Sequence[Path]]) -> dict[str, pd.DataFrame]:
    """The CSV files among a report's inputs, by file name."""
    return {path.name: read_table(path) for paths in inputs.values() for path in paths if path.suffix == ".csv"}


def rows_table(rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as the template's table: names of columns, those of them that hold words, and cells as they are read."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    cells = table.map(lambda value: value if isinstance(value, str) else number(value))
    words = [
        name for name in table if table[name].map(lambda cell: isinstance(cell, str) and "±" not in cell and cell).any()
    ]
    return {"columns": list(table), "words": words, "rows": cells.to_numpy().tolist()}


TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc } h3 { margin-bottom: .3rem }
nav a { margin-right: 1rem } a { color: #0b57a4 } .quiet, figcaption, caption { color: #666; fill: #777; font-size: 13px }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 }
caption { text-align: left; padding-bottom: .3rem }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #e3e3e3; text-align: right }
th { background: #f5f5f5; font-weight: 600; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
td { white-space: nowrap } td.words, th.words { text-align: left; white-space: normal }
.conclusions { font-size: 16px } .conclusions li { margin: .4rem 0 } th[title] { cursor: help }
figure { margin: 1rem 0 2rem } img, video, figure > svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f5f5; padding: .6rem; font-size: 12px }
code { font-size: 13px } details { font-size: 13px } .graph { font-size: 14px }
.arc { fill: none; stroke: #9ab; stroke-width: 1.3 }
.graph circle { fill: #0b57a4 } .graph marker path { fill: #678 }
@media print { details { display: none } }
</style>
</head>
<body>
{% macro table(content, caption) %}
<div class="wide"><table>
<caption>{{ caption }}</caption>
<thead><tr>
{% for name in content.columns %}
<th{% if name in meanings %} title="{{ meanings[name] }}"{% endif %}{% if name in content.words %} class="words"{% endif %}>
{{ name | replace("_", "_\u200b") }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in content.rows %}
<tr>
{% for value in row %}
<td{% if content.columns[loop.index0] in content.words %} class="words"{% endif %}>{{ value }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endmacro %}
<h1>{{ title }}</h1>
<ol class="conclusions" id="conclusions">
{% for text in conclusions %}
<li>{{ text }}</li>
{% else %}
<li>No table here compares anything with standard errors.</li>
{% endfor %}
</ol>
<p class="quiet">Made from the tables below: mean ± standard error, then the difference; one within two standard errors is no
difference. What each column means stands under <a href="#columns">Columns</a>.</p>
<p class="quiet">Code: {{ commit or "not in a repository" }}. Figures are numbered; below each stands what it was made from.</p>
{% macro picture(figure) %}
<figure>
{% if figure.image.startswith("data:video") %}
<video src="{{ figure.image }}" aria-label="{{ figure.caption }}" autoplay loop muted controls></video>
{% else %}<img src="{{ figure.image }}" alt="{{ figure.caption }}">{% endif %}
<figcaption><b>Figure {{ figure.number }}.</b> {{ figure.caption }}
<details><summary>Where it comes from</summary>
<p>{{ figure.path }}, SHA-256 {{ figure.digest }}, made by the rule <b>{{ figure.rule }}</b> from:</p>
<ul>{% for name, identity in figure.inputs %}
<li>{{ name }}{% if identity %} (identity {{ identity }}){% endif %}</li>{% endfor %}</ul>
<pre>{{ figure.command }}</pre>
</details></figcaption></figure>
{% endmacro %}
<nav>{% for part in (["comparison", "variants"] if variants else []) + sections | map(attribute="name") | list
 + ["workflow"] + (["artifacts"] if artifacts else []) + ["columns"] %}
<a href="#{{ part }}">{{ part | capitalize }}</a>{% endfor %}</nav>

{% if variants %}
<h2 id="comparison">Comparison</h2>
{{ table(summary, "Means over layouts and sampling seeds, from metrics.csv. interp: after phase 1 and interpolation;"
 ~ " refined: after phase 2.") }}
<figure>{{ chart | safe }}
<figcaption><b>Figure 1.</b> Share of plans with at least one piece through a wall, before and
after phase 2, by layout. Drawn for this page from metrics.csv.</figcaption></figure>

<h2 id="variants">Variants</h2>
{% for variant in variants %}
<h3 id="variant-{{ variant.name }}">{{ variant.name }}</h3>
<p>{% if variant.changes %}Differs from base in
{% for key, value in variant.changes.items() %}<code>{{ key }} = {{ value }}</code>{{ ", " if not loop.last }}{% endfor %}.
{% else %}The settings that variants start from.{% endif %}</p>
{{ table(variant.table, "Means over sampling seeds, one row per layout.") }}
{% for figure in variant.figures %}{{ picture(figure) }}{% endfor %}
{% endfor %}
{% endif %}

{% for section in sections %}
<h2 id="{{ section.name }}">{{ section.title }}</h2>
{% for caption, content in section.tables.items() %}{{ table(content, caption) }}{% endfor %}
{% for figure in section.figures %}{{ picture(figure) }}{% endfor %}
{% endfor %}

<h2 id="workflow">Workflow</h2>
{% if graph %}
<figure>{{ graph | safe }}
<figcaption><b>Figure {{ graph_number }}.</b> The rules that made this page, from top to bottom; an arc leads from a rule
to each rule that reads its files. From Snakemake's records of the jobs that ran.</figcaption></figure>
{% else %}
<p class="quiet">Snakemake's records of the jobs are not here, so the graph cannot be drawn.</p>
{% endif %}
{{ table(timings, "Time and memory by rule, from the benchmark files; an interrupted job counts from its last start.") }}

{% if artifacts %}
<h2 id="artifacts">Artifacts</h2>
{{ table(artifacts, "What the variants are made of, and which of them share it. Identity: settings, code, packages and"
 ~ " inputs of the stage where it writes run.json, else the content of its files. Spec: settings, code and packages.") }}
{% endif %}

<h2 id="columns">Columns</h2>
{{ table(glossary, "What the tables' columns mean, and which way is better.") }}
</body>
</html>
"""
