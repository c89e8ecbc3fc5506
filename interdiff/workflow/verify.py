"""Checks everything under a results root against the records that were written with it (`make verify`)."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from interdiff.errors import InputError, command
from interdiff.files import check_folder, file_sha256, is_temporary
from interdiff.workflow.engine.dry_run import Job, parse, snakemake
from interdiff.workflow.manifest import (
    FOLDER,
    Manifest,
    manifest_files,
    manifest_path,
    placed_records,
    read_manifest,
    relative_to,
    shapes,
)
from interdiff.workflow.why import differences

UNRECORDED = ("logs", "benchmarks", FOLDER)
"""Folders of runs, not of what they make; so are hidden folders and MLflow's at the root."""

HELP = """
Named are files that are missing, damaged, edited by hand or copied from elsewhere, that were made from other inputs
than those there are now or by other settings or code than those of now, and that no stage has recorded. Artifacts of
variants that the configuration no longer has are not compared with it. Options go to snakemake and say what the
configuration is, such as --workflow-profile profiles/smoke beside results-smoke. Run it while nothing writes there.
Exit code: 0 if all is well, 1 if there is anything to name, 2 if there is no such folder or no such configuration.
"""


def verify(results: Path) -> tuple[int, list[tuple[str, str]]]:
    """The number of recorded files, and path below the results root and what is wrong for each that is not as recorded.

    Raises:
        InputError: there is no such folder.
    """
    check_folder(results, "results")
    records, problems = _records(results)
    listed = {name: entry for record in records for name, entry in record.outputs.items()}
    hashes = {name: entry["sha256"] for name, entry in listed.items()}
    found = _hashes(results, [*listed, *(name for record in records for name in record.inputs)])
    problems += [*_changed(results, listed, found), *_outdated(records, found | hashes), *_unlisted(results, listed)]
    return len(listed), problems


def _records(results: Path) -> tuple[list[Manifest], list[tuple[str, str]]]:
    records, problems = [], []
    for path in manifest_files(results):
        name = relative_to(results, path)
        try:
            record = read_manifest(path)
        except InputError as error:
            problems.append((name, f"not a usable record ({error})"))
            continue
        if manifest_path(record.first).as_posix() == name:
            records.append(record)
        else:
            problems.append((name, f"foreign: moved or copied here, it is the record of {record.first}"))
    return records, problems


def _hashes(results: Path, names: list[str]) -> dict[str, str]:
    there = [name for name in dict.fromkeys(names) if (results / name).is_file()]
    return {name: file_sha256(results / name) for name in tqdm(there, "reading", unit="file", disable=None)}


def _changed(results: Path, listed: dict[str, dict[str, Any]], found: dict[str, str]) -> Iterator[tuple[str, str]]:
    makers = {entry["sha256"]: name for name, entry in listed.items()}
    for name, entry in listed.items():
        if name not in found:
            yield name, "missing"
        elif found[name] != entry["sha256"]:
            owner = makers.get(found[name])
            yield name, f"foreign: it has the content of {owner}" if owner else _damage(results / name, entry)


def _damage(path: Path, entry: dict[str, Any]) -> str:
    size = path.stat().st_size
    sizes = f"{size} of {entry['bytes']} bytes"
    try:
        now, then = shapes(path), entry.get("arrays", {})
    except InputError:
        return f"truncated, {sizes}" if size < entry["bytes"] else f"damaged, not a readable {path.suffix} file"
    for array in sorted(now.keys() | then.keys()):
        if now.get(array) != then.get(array):
            return f"edited or foreign: {array} is {now.get(array, 'missing')}, was {then.get(array, 'missing')}"
    if then:
        return "edited: the shapes of its arrays are right, their values are not"
    return f"truncated or edited, {sizes}" if size < entry["bytes"] else "edited, its content has changed"


def _outdated(records: list[Manifest], inputs: dict[str, str]) -> Iterator[tuple[str, str]]:
    for record in records:
        others = [name for name, digest in record.inputs.items() if inputs.get(name, digest) != digest]
        if others:
            yield record.first, f"made from another {', another '.join(others)}"


def compare(results: Path, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """First output and what differs for each record that was made by other settings or code than those of now.

    options: of snakemake, where the configuration of now is not config.yaml alone.

    Raises:
        InputError: Snakemake refuses the configuration or misses an input (its message).
    """
    records = {record.first: record for record in placed_records(results)}
    for name, job in _jobs(results, list(records), options).items():
        if name in records and (found := differences(job, records[name].spec)):
            yield name, f"outdated: {'; '.join(found)}"


def _jobs(results: Path, names: list[str], options: Sequence[str]) -> dict[str, Job]:
    """The jobs that would make files and all that they follow, by first output, but for files that no rule makes now."""
    options = options or ["--config", f"results={results}"]
    while names:
        code, text = snakemake(*(f"{results}/{name}" for name in names), "--forceall", *options)
        if code == 0:
            return {job.paths("output")[0]: job for job in parse(text)}
        gone = re.search(r"No rule to produce (.*) \(if you use input functions", text)
        if gone is None:
            raise InputError(text.strip())
        names = [name for name in names if Path(name).parent != Path(relative_to(results, Path(gone[1]))).parent]
    return {}


def _unlisted(results: Path, listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        top = name.parts[0]
        if top.startswith((".", "mlflow.db", "mlruns", "mlartifacts")) or set(UNRECORDED) & set(name.parts[:-1]):
            continue
        if name.as_posix() not in listed:
            left = is_temporary(path)
            yield name.as_posix(), "left by a stopped write; it can go" if left else "no stage has recorded it"


@command
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m interdiff.workflow.verify",
        usage="%(prog)s [-h] [results] [OPTION OF SNAKEMAKE ...]",
        description=__doc__,
        epilog=HELP,
        allow_abbrev=False,
    )
    parser.add_argument(
        "results", nargs="?", type=Path, default=Path("results"), help="results root (default: results)"
    )
    arguments, options = parser.parse_known_args()
    results = arguments.results
    count, problems = verify(results)
    problems += compare(results, options)
    for name, problem in problems:
        print(f"{results / name}: {problem}")
    print(f"{results}: recorded files: {count}, problems: {len(problems)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
