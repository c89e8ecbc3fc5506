"""Metrics on their way to MLflow. Files come first: rows are in the log and in a checkpoint's history anyway.

A stage appends events to a spool file; a process of low priority reads it and talks to MLflow, whose import
and writes take seconds. So tracking costs a stage next to nothing and cannot make it fail. Where to track
comes from MLflow's own variables MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME, which `configure` sets;
without them nothing is tracked.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interdiff.files import read_json
from interdiff.workflow.manifest import git_commit
from interdiff.workflow.tracking.connection import FOLDER, URI, flat, unanswered

log = logging.getLogger(__name__)


class Tracker:
    """One stage's metrics: each row goes to the log and, if tracking is on, to MLflow."""

    def __init__(self, spool: Path | None, run_file: Path) -> None:
        self._spool = spool
        self._run_file = run_file
        self._writer: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, results: Path, label: str, identity: str, settings: dict[str, Any], run_file: Path) -> Tracker:
        """Start a run, or the one of `run_file` (its id) again, and the process that writes it."""
        if URI not in os.environ:
            return cls(None, run_file)
        if problem := unanswered():
            log.warning("tracking is off for this stage: %s", problem)
            return cls(None, run_file)
        # Absolute paths: the writer works in another folder.
        spool = results.resolve() / FOLDER / f"{identity[:16]}.{os.getpid()}.jsonl"
        run_file = run_file.resolve()
        tracker = cls(spool, run_file)
        tags = {"stage": Path(label).parent.name, "variant": Path(label).name, "identity": identity}
        commit = git_commit()
        tags |= {"git_commit": commit} if commit else {}
        tracker._send({"run": label, "params": flat(settings), "tags": tags})
        tracker._start_writer()
        return tracker

    def log(self, row: Mapping[str, float]) -> None:
        """Record a row of metrics; its `step` places it on the curves."""
        log.info("%s", "  ".join(f"{key} {value:.5g}" for key, value in row.items()))
        metrics = {key: float(value) for key, value in row.items() if key != "step"}
        self._send({"metrics": metrics, "step": int(row.get("step", 0)), "time": int(time.time() * 1000)})

    def finish(self, status: str = "FINISHED") -> None:
        """End the run: FINISHED, FAILED or KILLED (a killed run goes on when the stage does)."""
        self._send({"status": status})
        if self._writer_failed():
            log.warning("MLflow has not taken this run's metrics: see %s", self._writer_log)

    def run_id(self, patience: float = 10.0) -> str | None:
        """The run's id once MLflow has given one; None if it does not within `patience` seconds."""
        deadline = time.monotonic() + patience * (self._spool is not None)
        while not self._run_file.exists() and time.monotonic() < deadline and not self._writer_failed():
            time.sleep(0.05)
        return read_json(self._run_file)["run_id"] if self._run_file.exists() else None

    def _writer_failed(self) -> bool:
        return self._writer is not None and bool(self._writer.poll())

    @property
    def _writer_log(self) -> Path | None:
        return self._spool.with_suffix(".log") if self._spool else None

    def _send(self, event: dict[str, Any]) -> None:
        if self._spool is None:
            return
        try:
            self._spool.parent.mkdir(parents=True, exist_ok=True)
            with self._spool.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(event, default=str) + "\n")
        except OSError as error:
            log.warning("tracking is off for this stage: %s", error)
            self._spool = None

    def _start_writer(self) -> None:
        if self._spool is None or self._writer_log is None:
            return
        command = [
            sys.executable,
            "-m",
            "interdiff.workflow.tracking.writer",
            str(self._spool),
            str(self._run_file),
            str(os.getpid()),
        ]
        root = Path(__file__).resolve().parents[3]
        errors = self._writer_log.open("w")
        try:
            # A session of its own: Ctrl-C stops the stage, and the writer then notes how the run ended.
            self._writer = subprocess.Popen(
                command,
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            log.warning("tracking is off for this stage: %s", error)
        finally:
            errors.close()
