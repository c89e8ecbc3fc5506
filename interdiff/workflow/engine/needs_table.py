"""What jobs ask for, as a table (`make why`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interdiff.workflow.engine.dry_run import Job


def needs_table(jobs: Sequence[Job], missing: Sequence[str]) -> Iterator[str]:
    """Lines: jobs of one rule that need the same together, with the memory and hours of each; and files that are missing."""
    groups: dict[tuple[str, int, int, int], list[Job]] = {}
    for job in jobs:
        gpu, host, minutes = (job.resources.get(name, 0) for name in ("gpu_mb", "mem_mb", "minutes"))
        groups.setdefault((job.rule, gpu, host, minutes), []).append(job)
    yield _row("needs, estimated", "jobs", "GPUs", "memory of each", "host memory", "hours")
    for (rule, gpu, host, minutes), group in groups.items():
        variants = dict.fromkeys(job.wildcards.get("variant", "") for job in group)
        gpus = group[0].gpus
        asked = (gpus, _gb(gpu)) if gpus else ("-", "-")
        yield _row(f"{rule} {', '.join(variants)}", len(group), *asked, _gb(host), _hours(minutes))
    total = sum(job.resources.get("minutes", 0) for job in jobs)
    yield _row("all, one after the other", len(jobs), "", "", "", _hours(total))
    if missing:
        yield f"Files from outside that are not there yet: {', '.join(missing)}."


def _row(*cells: object) -> str:
    return f"{cells[0]:<44}{cells[1]:>5}{cells[2]:>6}" + "".join(f"{cell:>16}" for cell in cells[3:])


def _gb(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB"


def _hours(minutes: int) -> str:
    return f"{minutes / 60:.1f}"
