"""What `snakemake` would run now, why, and what it will cost (`make why`)."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import mean
from typing import Any

from interdiff.errors import InputError
from interdiff.files import canonical_json
from interdiff.tables import read_table
from interdiff.workflow.engine.dry_run import Job, dry_run, listed, snakemake
from interdiff.workflow.engine.needs_table import needs_table
from interdiff.workflow.manifest import Manifest, placed_records
from interdiff.workflow.pipelines.maze import MAZE_STAGES
from interdiff.workflow.tracking.connection import flat

HELP = """
Everything that this command does not know goes to snakemake, such as a target, --workflow-profile profiles/gpu or
--config results=elsewhere. Reasons come from the records beside the results (folders .manifest), costs from the
benchmark files of earlier runs, the same artifact's where it was made before, else the mean of its rule's. Of a run that was
stopped and resumed, a benchmark file tells the last part alone. Needs, what jobs ask for, are estimated from sizes.
"""

KEYS = {
    "gallery": "report.gallery",
    "metrics": "report",
    "selection": "report.selection",
    "drive": "report.rollouts",
}
"""Place in the configuration of the settings of stages that no variant changes."""


class Plan:
    """The jobs of a dry run, upstream first, and why each would run."""

    def __init__(self, options: Sequence[str]) -> None:
        jobs, self.missing = dry_run(options)
        self._options = options
        self.records = {record.first: record for record in placed_records(jobs[0].results)} if jobs else {}
        """What was recorded when things were last made, by first output."""
        self._makers = {path: job for job in jobs for path in job.paths("output")}
        self._before: dict[str, dict[str, Job]] = {}
        self.jobs = sorted(jobs, key=lambda job: (len(self._upstream(job)), job.name))

    def record(self, job: Job) -> Manifest | None:
        """What was recorded when the job's outputs were last made."""
        return self.records.get(job.paths("output")[0])

    def _upstream(self, job: Job) -> dict[str, Job]:
        """By name: the jobs whose outputs it needs, directly or not."""
        if job.name not in self._before:
            direct = self._direct(job)
            self._before[job.name] = direct | {
                k: v for near in direct.values() for k, v in self._upstream(near).items()
            }
        return self._before[job.name]

    def _direct(self, job: Job) -> dict[str, Job]:
        near = (self._makers[path] for path in job.paths("input") if path in self._makers)
        return {maker.name: maker for maker in near}

    def reasons(self, job: Job) -> list[str]:
        """In words, one per change."""
        record = self.record(job)
        gone = [path for path in job.paths("output") if not (job.results / path).exists()]
        if record is None and len(gone) == len(job.paths("output")):
            return ["not made yet"]
        found = [f"missing: {', '.join(gone)}"] if gone else []
        found += differences(job, record.spec) if record else []
        found += _inputs(job, record)
        found += [text for sign, text in SIGNS.items() if sign in job.fields["reason"]]
        if "Params have changed" in job.fields["reason"] and not record:
            found.append("its settings or code have changed; there is no record of what they were")
        if "updated by another job" in job.fields["reason"]:
            found.append(f"follows {_names(self._nearest(job))}")
        return found or [job.fields["reason"]]

    def _nearest(self, job: Job) -> list[Job]:
        """The makers of its inputs, less those that another of them follows."""
        direct = self._direct(job).values()
        return [near for near in direct if not any(near.name in self._upstream(other) for other in direct)]

    def renames(self) -> dict[str, str]:
        """Old name by new name of each variant that is an older one, no longer declared, in all but its name."""
        found = {}
        for new in sorted({job.wildcards["variant"] for job in self.jobs if "variant" in job.wildcards}):
            jobs = [job for job in self.jobs if job.wildcards.get("variant") == new]
            twins = set.intersection(*(self._twins(job, new) for job in jobs))
            if old := next((name for name in sorted(twins) if not self._is_declared(jobs[0], new, name)), None):
                found[new] = old
        return found

    def _twins(self, job: Job, new: str) -> set[str]:
        """Variants whose record of the same job has the same spec, and inputs that are still what they were."""
        shared = {path for path in job.paths("input") if new not in path.split("/")}
        if self.record(job) or shared & self._makers.keys():
            return set()
        content = {name: entry["sha256"] for record in self.records.values() for name, entry in record.outputs.items()}
        return {
            old
            for record in self.records.values()
            for old in record.first.split("/")
            if record.spec == job.spec and record.first == _renamed(job.paths("output")[0], new, old)
            if record.inputs.keys() == {_renamed(path, new, old) for path in job.paths("input")}
            if all(content.get(path) == record.inputs[path] for path in shared)
        }

    def _is_declared(self, job: Job, new: str, old: str) -> bool:
        """Whether the configuration still has a variant: Snakemake knows no way to files of one that it has not."""
        path = job.results / _renamed(job.paths("output")[0], new, old)
        return snakemake(str(path), *self._options)[0] == 0


SIGNS = {
    "Forced execution": "asked for by an option of snakemake",
    "Incomplete output files": "its last run was stopped",
    "Code has changed": "its command in rules/ has changed",
    "Software environment": "its environment in envs/ has changed",
}
"""What Snakemake's reasons say, in our words."""


def differences(job: Job, old: Mapping[str, Any]) -> list[str]:
    """Between a job's spec and an older one: settings, modules, packages, threads and files from outside."""
    new = job.spec
    section = _section(job)
    settings = [flat({section: spec.get("settings", {})}) for spec in (old, new)]
    found = [f"{key}: {_text(a)} -> {_text(b)}" for key, a, b in _unequal(*settings)]
    for name, a, b in _unequal(old.get("code", {}), new.get("code", {})):
        found.append(
            f"{name}: " + ("now imported" if a is None else f"code changed, {a} -> {b}" if b else "not imported now")
        )
    for name, a, b in _unequal(old.get("packages", {}), new.get("packages", {})):
        found.append(f"package {name}: {a or 'not used'} -> {b or 'not used'}")
    found += [f"{name}: other content" for name, _, _ in _unequal(old.get("sources", {}), new.get("sources", {}))]
    return found + [f"{key}: {a} -> {b}" for key, a, b in _unequal(old, new) if key == "threads"]


def _section(job: Job) -> str:
    """Where a job's settings are in the configuration."""
    stage = job.spec["stage"].split(".")[-1]
    if stage in MAZE_STAGES:
        return MAZE_STAGES[stage].section
    return f"layouts.{job.wildcards['layout']}" if stage == "demonstrations" else KEYS.get(stage, stage)


def _unequal(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _text(value: Any) -> str:
    return "not set" if value is None else canonical_json(value)


def _inputs(job: Job, record: Manifest | None) -> list[str]:
    """What has become of its inputs."""
    edited = re.search(r"Updated input files: ([^;]*)", job.fields["reason"])
    found = [f"{path} has changed" for path in listed(edited[1])] if edited else []
    now, then = job.paths("input"), record.inputs if record else job.paths("input")
    found += [f"reads {path} now" for path in now if path not in then]
    return found + [f"no longer reads {path}" for path in then if path not in now]


def _renamed(path: str, new: str, old: str) -> str:
    return "/".join(old if part == new else part for part in path.split("/"))


@dataclass(frozen=True)
class Cost:
    """Seconds of one job, from an earlier run."""

    cpu: float
    gpu: float
    clock: float


def past_cost(job: Job, plan: Plan) -> Cost | None:
    """The job's last benchmark on the same kind of device, or the mean of its rule's; None where there is none."""
    path = Path(job.fields.get("benchmark", ""))
    if path.is_file():
        files, records = [path], [plan.record(job)]
    else:
        files = list(path.parent.glob("*.tsv")) if path.parent.name == job.rule else []
        records = [record for record in plan.records.values() if record.stage == job.spec.get("stage")]
    measured = [row for file in files if (row := _benchmark(file))]
    if not measured or {bool(record and record.gpus) for record in records} != {job.gpus > 0}:
        return None
    cpu, clock = (mean(values) for values in zip(*measured, strict=True))
    return Cost(cpu, clock * job.gpus, clock)


def _benchmark(path: Path) -> tuple[float, float] | None:
    """CPU and wall-clock seconds of a benchmark file, means over its rows; None where they were not measured."""
    try:
        cpu, clock = read_table(path)[["cpu_time", "s"]].mean(skipna=False)
        return None if isnan(cpu + clock) else (cpu, clock)
    except (InputError, KeyError, TypeError):
        return None


def report(options: Sequence[str]) -> str:
    """Everything there is to say about the dry run with these options."""
    plan = Plan(options)
    if not plan.jobs:
        return "Nothing would run: every file is what configuration and code say."
    head = [f"Jobs that would run: {len(plan.jobs)}.", *_renames(plan)]
    return "\n".join([*head, "", *_why(plan), "", *_costs(plan), "", *needs_table(plan.jobs, plan.missing)])


def _renames(plan: Plan) -> Iterator[str]:
    for new, old in plan.renames().items():
        yield f"Variant {new}: a rename of {old} is all it is; {old}'s files stay where they are, {new}'s are made anew."


def _why(plan: Plan) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in plan.jobs:
        groups.setdefault((job.rule, *plan.reasons(job)), []).append(job)
    for (_, *reasons), jobs in groups.items():
        yield _names(jobs)
        yield from (f"    {reason}" for reason in reasons)


def _names(jobs: list[Job]) -> str:
    """Such as `samples base, k4; metrics`."""
    rules = {job.rule: [other for other in jobs if other.rule == job.rule] for job in jobs}
    return "; ".join(
        f"{rule} {', '.join(' '.join(job.wildcards.values()) for job in group)}".strip()
        for rule, group in rules.items()
    )


def _costs(plan: Plan) -> Iterator[str]:
    jobs = plan.jobs
    yield _row("cost, from earlier runs", "jobs", "CPU time", "GPU time", "clock")
    total: list[Cost | None] = []
    for rule in dict.fromkeys(job.rule for job in jobs):
        costs = [past_cost(job, plan) for job in jobs if job.rule == rule]
        gpu = any(job.gpus for job in jobs if job.rule == rule)
        yield _row(rule, len(costs), *_sums(costs, gpu))
        total += costs
    yield _row("total", len(jobs), *_sums(total, any(job.gpus for job in jobs)))


def _row(*cells: Any) -> str:
    return f"{cells[0]:<26}{cells[1]:>4}" + "".join(f"{cell:>18}" for cell in cells[2:])


def _sums(costs: list[Cost | None], gpu: bool) -> list[str]:
    known = [cost for cost in costs if cost]
    if not known:
        return ["not known", "not known" if gpu else "-", "not known"]
    least = "over " if len(known) < len(costs) else ""
    cpu, gpus, clock = (sum(getattr(cost, name) for cost in known) for name in ("cpu", "gpu", "clock"))
    return [least + _duration(cpu), least + _duration(gpus) if gpu else "-", least + _duration(clock)]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m interdiff.workflow.why",
        usage="%(prog)s [-h] [OPTION OR TARGET OF SNAKEMAKE ...]",
        description=__doc__,
        epilog=HELP,
        allow_abbrev=False,
    )
    _, options = parser.parse_known_args()
    try:
        print(report(options))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
