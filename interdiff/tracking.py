"""Metrics on their way to MLflow. Files come first: rows are in the log and in a checkpoint's history anyway.

A stage appends events to a spool file; a process of low priority reads it and talks to MLflow, whose import
and writes take seconds. So tracking costs a stage next to nothing and cannot make it fail. Where to track
comes from MLflow's own variables MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME, which `configure` sets;
without them nothing is tracked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interdiff.files import read_json, write_json

log = logging.getLogger(__name__)

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
POLL = 0.5
"""Seconds between looks at the spool file."""
FLUSH = 5.0
"""Seconds between writes to MLflow."""
SYSTEM = 10.0
"""Seconds between samples of the machine's load."""
FOLDER = ".tracking"
"""Where, below the results, events wait for their writer."""


def configure(enabled: bool, uri: str | None, experiment: str, results: str | Path) -> None:
    """Set MLflow's variables for the jobs that this process starts."""
    os.environ.pop(URI, None)
    if enabled:
        os.environ[URI] = uri or f"sqlite:///{Path(results).resolve()}/mlflow.db"
        os.environ[EXPERIMENT] = experiment


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping with dotted keys."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        nested = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


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
            "interdiff.tracking",
            str(self._spool),
            str(self._run_file),
            str(os.getpid()),
        ]
        root = Path(__file__).resolve().parents[1]
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


def git_commit() -> str | None:
    """The commit of this code, with `-dirty` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        root = Path(__file__).parent
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=5)
        return done.stdout.strip()
    return None


def open_store(results: Path) -> tuple[Any, str]:
    """MLflow's client for the store of MLFLOW_TRACKING_URI and the id of the experiment, both made where missing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Concurrent creation of a store crashes all but one of the processes.
    with locked(results / FOLDER / "lock"):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(os.environ[URI])
        name = os.environ[EXPERIMENT]
        found = client.get_experiment_by_name(name)
        if found:
            return client, found.experiment_id
        local = os.environ[URI].startswith("sqlite:")
        artifacts = (results / "mlartifacts").resolve().as_uri() if local else None
        return client, client.create_experiment(name, artifact_location=artifacts)


def log_params(client: Any, run_id: str, settings: Mapping[str, Any]) -> None:
    """Log settings as flat parameters, in batches of the size that MLflow allows."""
    from mlflow.entities import Param

    params = [Param(key, str(value)[:6000]) for key, value in flat(settings).items()]
    for first in range(0, len(params), 100):
        client.log_batch(run_id, params=params[first : first + 100])


class Writer:
    """Reads a spool file and writes its events to MLflow."""

    def __init__(self, spool: Path, run_file: Path, parent: int) -> None:
        self.spool, self.run_file, self.parent = spool, run_file, parent

    def run(self) -> None:
        """Write until the stage says that it ends, or has died."""
        events = self._events()
        first = next(events)
        client, run_id = self._open(first)
        status, metrics, written = "KILLED", [], time.monotonic()
        with _system_metrics(run_id):
            for event in events:
                status = event.get("status", status)
                metrics += _metrics(event)
                if metrics and time.monotonic() - written > FLUSH:
                    client.log_batch(run_id, metrics=metrics)
                    metrics, written = [], time.monotonic()
            client.log_batch(run_id, metrics=metrics)
        client.set_terminated(run_id, status)
        if status == "FINISHED":
            self.run_file.unlink(missing_ok=True)
        self.spool.unlink()
        self.spool.with_suffix(".log").unlink(missing_ok=True)

    def _events(self) -> Iterator[dict[str, Any]]:
        with self.spool.open(encoding="utf-8") as stream:
            rest = ""
            while True:
                alive = process_alive(self.parent)
                rest += stream.read()
                *lines, rest = rest.split("\n")
                for line in lines:
                    event = json.loads(line)
                    yield event
                    if "status" in event:
                        return
                if not alive:
                    return
                yield {}
                time.sleep(POLL)

    def _open(self, first: dict[str, Any]) -> tuple[Any, str]:
        client, experiment = open_store(self.spool.parents[1])
        if self.run_file.exists():
            run_id = read_json(self.run_file)["run_id"]
            client.update_run(run_id, "RUNNING")
            return client, run_id
        run_id = client.create_run(experiment, run_name=first["run"], tags=first["tags"]).info.run_id
        write_json(self.run_file, {"run_id": run_id})
        log_params(client, run_id, first["params"])
        return client, run_id


def _metrics(event: dict[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(key, value, event["time"], event["step"]) for key, value in event.get("metrics", {}).items()]


@contextlib.contextmanager
def _system_metrics(run_id: str) -> Iterator[None]:
    """Log the machine's load, memory, disk, network and GPUs for as long as the stage runs."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, sampling_interval=SYSTEM, resume_logging=True, tracking_uri=os.environ[URI])
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; other processes wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def process_alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Entry of the writing process: spool file, run file, process id of the stage."""
    os.nice(19)
    spool, run_file, parent = sys.argv[1:]
    Writer(Path(spool), Path(run_file), int(parent)).run()


if __name__ == "__main__":
    main()
