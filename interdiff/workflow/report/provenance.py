"""Which stages made the results, and of what, from the records beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from interdiff.workflow.manifest import Manifest, manifest_files, read_manifest


def makers(results: Path) -> dict[str, Manifest]:
    """The record of every file that a stage made, by its path below the results root.

    Raises:
        InputError: a record is damaged.
    """
    return {output: record for record in map(read_manifest, manifest_files(results)) for output in record.outputs}


def rule(record: Manifest) -> str:
    """The rule behind a record: the last part of its stage's name, after its folder's where the stage has no domain."""
    domain, _, name = record.stage.rpartition(".")
    folder = record.first.split("/")[1]
    return name if domain or folder == name else f"{folder} {name}"


def rule_graph(records: Mapping[str, Manifest], targets: Iterable[str], sink: str) -> list[tuple[str, str]]:
    """The edges between rules behind `targets`, which the rule `sink` reads; sorted, without repeats."""
    edges, seen, queue = set(), set(), [(name, sink) for name in targets]
    while queue:
        name, reader = queue.pop()
        if name not in records:
            continue
        edges.add((rule(records[name]), reader))
        if name not in seen:
            seen.add(name)
            queue += [(path, rule(records[name])) for path in records[name].inputs]
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
