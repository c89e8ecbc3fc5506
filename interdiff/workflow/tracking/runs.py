"""MLflow's view of finished work, from files: a parent run per variant over the runs of its stages.

Everything here can be made again: `sync` adds what the store lacks, `rebuild` starts from an empty one. What is read:
`results/*/variants.json`, and beside each artifact `run.json`, `history.csv`, `metrics.json` and pictures.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from interdiff.errors import InputError, command
from interdiff.files import check_folder, read_json
from interdiff.workflow.tracking.connection import (
    EXPERIMENT,
    FOLDER,
    URI,
    configure,
    locked,
    open_store,
    own_uri,
    process_alive,
    unanswered,
)
from interdiff.workflow.tracking.store import Store
from interdiff.workflow.tracking.ui import show

log = logging.getLogger(__name__)
PATIENCE = 300
"""Seconds that a stage waits for the store at most."""


def publish(results: Path) -> None:
    """Bring the store up to date in a process of its own; whatever goes wrong there is one warning."""
    if URI not in os.environ:
        return
    if problem := unanswered():
        log.warning("MLflow does not show the variants (`make tracking-rebuild` makes up for it): %s", problem)
        return
    command = [sys.executable, "-m", "interdiff.workflow.tracking.runs", "sync", "--results", str(results.resolve())]
    root = Path(__file__).resolve().parents[3]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PATIENCE)
        reason = done.stderr.strip() if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    if reason:
        log.warning("MLflow does not show the variants (`make tracking-rebuild` makes up for it): %s", reason)


def sync(results: Path) -> None:
    """Add the runs that the store lacks, and tag those that the present results are made of."""
    with locked(results / FOLDER / "sync"):
        store = Store(*open_store(results), results)
        for path in sorted(results.glob("*/variants.json")):
            _record(store, path.parent.name, read_json(path))
        # Variants that are not reported were trained too.
        for path in sorted(results.glob("*/*/*/run.json")):
            run = read_json(path)
            folder = path.parent.relative_to(results).as_posix()
            store.stage_run(folder, {"identity": run["identity"], "settings": run["spec"]["settings"]})


def rebuild(results: Path) -> None:
    """Make the runs from the files, in an empty store where it is that of the results, which is put aside (`*.old`).

    Raises:
        InputError: a stage that writes to the store is running.
    """
    for spool in (results / FOLDER).glob("*.jsonl"):
        if process_alive(int(spool.stem.rsplit(".", 1)[-1])):
            raise InputError(f"{spool}: its stage is running; wait for it or stop it")
    if os.environ[URI] == own_uri(results):
        _set_aside(Path(os.environ[URI].removeprefix("sqlite:///")))
        _set_aside(results / "mlartifacts")
    sync(results)


def _set_aside(path: Path) -> None:
    if path.exists():
        old = path.with_name(path.name + ".old")
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        path.rename(old)


def _record(store: Store, domain: str, record: Mapping[str, Any]) -> None:
    children = {folder: store.stage_run(folder, artifact) for folder, artifact in record["artifacts"].items()}
    commit = {"git_commit": record["git_commit"]} if record["git_commit"] else {}
    for name, variant in record["variants"].items():
        identities = {stage: record["artifacts"][folder] for stage, folder in variant["artifacts"].items()}
        parent = store.variant_run(domain, name, variant, identities, commit)
        for folder in variant["artifacts"].values():
            store.link(children[folder], folder, name, parent)


@command
def main() -> int:
    """Entry of `make ui` and `make tracking-rebuild`."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.workflow.tracking.runs", description=__doc__)
    parser.add_argument("action", choices=["sync", "rebuild", "ui"], help="add missing runs, start anew, or show them")
    parser.add_argument("--results", type=Path, help="results root (default: that of config.yaml)")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="configuration (default: config.yaml)")
    parser.add_argument("--port", type=int, default=5000, help="port of the pages (default: 5000)")
    arguments = parser.parse_args()
    results = _configured(arguments.config, arguments.results).resolve()
    check_folder(results, "results")
    if arguments.action == "ui":
        return show(results, arguments.port)
    {"sync": sync, "rebuild": rebuild}[arguments.action](results)
    return 0


def _configured(path: Path, results: Path | None) -> Path:
    """The results root; where to track comes from MLflow's variables if they are set, else from the configuration."""
    if results and URI in os.environ and EXPERIMENT in os.environ:
        return results
    from interdiff.workflow.config import load_config

    config = load_config(yaml.safe_load(path.read_text(encoding="utf-8")))
    results = results or Path(config.results)
    configure(enabled=True, uri=config.tracking.uri, experiment=config.tracking.experiment, results=results)
    return results


if __name__ == "__main__":
    sys.exit(main())
