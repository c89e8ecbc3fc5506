"""What Snakemake recorded of the jobs that made files: rule, inputs, command and times."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

METADATA = Path(".snakemake/metadata")
"""Where Snakemake keeps a record per output, below the folder that it runs in."""


@dataclass(frozen=True)
class Job:
    """One recorded job, by one of its outputs."""

    rule: str
    inputs: tuple[str, ...]
    command: str


def recorded_jobs(folder: Path = METADATA) -> dict[str, Job]:
    """The job of every output that has a readable record; paths are as Snakemake was told them."""
    jobs = {}
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        try:
            # Long names are cut into folders, each marked by @.
            parts = [part.removeprefix("@") for part in path.relative_to(folder).parts]
            name = base64.urlsafe_b64decode("".join(parts)).decode()
            record = json.loads(path.read_text(encoding="utf-8"))
            jobs[name] = Job(record["rule"], tuple(record["input"]), record["shellcmd"] or "")
        except (ValueError, KeyError, TypeError):
            continue
    return jobs


def rule_graph(jobs: dict[str, Job], targets: Iterable[str], sink: str) -> list[tuple[str, str]]:
    """The edges between rules behind `targets`, which the rule `sink` reads; sorted, without repeats."""
    edges, seen, queue = set(), set(), [(name, sink) for name in targets]
    while queue:
        name, reader = queue.pop()
        if name not in jobs:
            continue
        edges.add((jobs[name].rule, reader))
        if name not in seen:
            seen.add(name)
            queue += [(path, jobs[name].rule) for path in jobs[name].inputs]
    return sorted(edges)


def topological(edges: Iterable[tuple[str, str]]) -> list[str]:
    """The rules of an acyclic graph, each after those that it reads; ties by name."""
    edges = list(edges)
    waiting = {name for edge in edges for name in edge}
    ordered: list[str] = []
    while waiting:
        ready = sorted(name for name in waiting if not any(b == name and a in waiting for a, b in edges))
        if not ready:
            raise ValueError(f"a cycle among {', '.join(sorted(waiting))}")
        ordered += ready
        waiting -= set(ready)
    return ordered
