"""A variant: what it changes, where its artifacts lie, what it would rebuild, and its figures beside its parent's.

`make show VARIANT=k4`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from interdiff.errors import InputError, command
from interdiff.settings import BASE
from interdiff.tables import read_table
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline
from interdiff.workflow.pipelines.pipeline import Pipeline
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline
from interdiff.workflow.report.numbers import number
from interdiff.workflow.tracking.connection import flat
from interdiff.workflow.variants import difference
from interdiff.workflow.why import Plan

ROOT = Path(__file__).parents[2]
LABELS = ("variant", "layout", "seed", "n", "method")


def show(pipeline: Pipeline, variant: str, options: Sequence[str]) -> str:
    """Everything there is to say of a variant; `options` go to snakemake's dry run."""
    parent = pipeline.resolved.parents.get(variant)
    parts = [f"{pipeline.domain}, variant {variant}" + (f", from {parent}" if parent else "")]
    parts += ["\n".join(_changes(pipeline, variant, parent)), _artifacts(pipeline, variant, options)]
    return "\n\n".join([*parts, _figures(pipeline, [name for name in (variant, parent) if name])])


def _changes(pipeline: Pipeline, variant: str, parent: str | None) -> Iterator[str]:
    if parent is None:
        yield "The settings that variants start from."
        return
    settings = pipeline.resolved.settings
    before, after = flat(settings[parent]), flat(difference(settings[parent], settings[variant]))
    yield from (f"{key}: {before.get(key)} -> {value}" for key, value in after.items())
    if not after:
        yield f"Nothing in which it differs from {parent}."


def _artifacts(pipeline: Pipeline, variant: str, options: Sequence[str]) -> str:
    """A row per stage: the folder of what the variant uses of it, and whether that is there or would be made."""
    made: dict[str, Any] = {}
    plan = Plan([*pipeline.target(variant), *options])
    for job in plan.jobs:
        for path in job.paths("output"):
            made.setdefault(str(Path(path).parent), job)
    rows = []
    for stage in pipeline.resolved.followed(pipeline.target_stage(variant)):
        folder = pipeline.folder(stage, variant)
        own = next((job for place, job in made.items() if f"{place}/".startswith(f"{folder}/")), None)
        there = (Path(pipeline.results) / folder).exists()
        state = f"would be made: {plan.reasons(own)[0]}" if own else "there" if there else "not needed"
        rows.append(f"{stage:<18}{folder:<36}{state}")
    return "\n".join(rows)


def _figures(pipeline: Pipeline, variants: Sequence[str]) -> str:
    """Means over layouts and sampling seeds, a column per variant."""
    columns = {}
    for name in variants:
        path, rows = pipeline.figures(name)
        if Path(path).exists():
            table = read_table(path)
            own = table[table["method"] == rows] if rows else table
            columns[name] = own.drop(columns=[label for label in LABELS if label in own]).mean(numeric_only=True)
    if not columns:
        return "No figures yet."
    return pd.DataFrame(columns).dropna(how="all").to_string(float_format=number)


@command
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.workflow.show", description=__doc__, allow_abbrev=False)
    parser.add_argument("variant", help="name of a variant, or base")
    parser.add_argument("--domain", choices=["maze", "video"], help="default: each that has this variant")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="configuration (default: config.yaml)")
    arguments, options = parser.parse_known_args()
    config = load_config(yaml.safe_load(arguments.config.read_text(encoding="utf-8")))
    pipelines: list[Pipeline] = [
        MazePipeline(config.maze, config.results, ROOT),
        VideoPipeline(config.video, config.results, ROOT),
    ]
    chosen = [pipeline for pipeline in pipelines if arguments.domain in (None, pipeline.domain)]
    known = [pipeline for pipeline in chosen if arguments.variant in pipeline.resolved.settings]
    if not known:
        names = sorted({name for pipeline in chosen for name in pipeline.resolved.settings} - {BASE})
        raise InputError(f"variant {arguments.variant!r}: unknown; expected {BASE}, {', '.join(names)}")
    print("\n\n\n".join(show(pipeline, arguments.variant, options) for pipeline in known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
