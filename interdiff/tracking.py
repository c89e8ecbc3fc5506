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
        spool = results.resolve() / ".tracking" / f"{identity[:16]}.{os.getpid()}.jsonl"
        run_file = run_file.resolve()
        tracker = cls(spool, run_file)
        tags = {"stage": Path(label).parent.name, "variant": Path(label).name, "identity": identity}
        tracker._send({"run": label, "params": flat(settings), "tags": tags | _git()})
        tracker._start_writer()
        return tracker

    def log(self, row: Mapping[str, float]) -> None:
        """Record a row of metrics; its `step` places it on the curves."""
        log.info("%s", "  ".join(f"{key} {value:.5g}" for key, value in row.items()))
        metrics = {key: float(value) for key, value in row.items() if key != "step"}
        self._send({"metrics": metrics, "step": int(row.get("step", 0)), "time": int(time.time() * 1000)})

    def artifact(self, path: str | Path) -> None:
        """Attach a file, such as a picture, once the run ends."""
        self._send({"artifact": str(Path(path).resolve())})

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
        if self._spool is None:
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


def _git() -> dict[str, str]:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        root = Path(__file__).parent
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=5)
        return {"git_commit": done.stdout.strip()}
    return {}


class Writer:
    """Reads a spool file and writes its events to MLflow."""

    def __init__(self, spool: Path, run_file: Path, parent: int) -> None:
        self.spool, self.run_file, self.parent = spool, run_file, parent

    def run(self) -> None:
        """Write until the stage says that it ends, or has died."""
        events = self._events()
        first = next(events)
        client, run_id = self._open(first)
        status, metrics, artifacts, written = "KILLED", [], [], time.monotonic()
        for event in events:
            status = event.get("status", status)
            artifacts += [event["artifact"]] if "artifact" in event else []
            metrics += _metrics(event)
            if metrics and time.monotonic() - written > FLUSH:
                client.log_batch(run_id, metrics=metrics)
                metrics, written = [], time.monotonic()
        client.log_batch(run_id, metrics=metrics)
        for path in artifacts:
            client.log_artifact(run_id, path)
        client.set_terminated(run_id, status)
        if status == "FINISHED":
            self.run_file.unlink(missing_ok=True)
        self.spool.unlink()
        self.spool.with_suffix(".log").unlink(missing_ok=True)

    def _events(self) -> Iterator[dict[str, Any]]:
        with self.spool.open(encoding="utf-8") as stream:
            rest = ""
            while True:
                alive = _alive(self.parent)
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
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Concurrent creation of a store crashes all but one of the processes.
        with _creation_lock(self.spool.parent / "lock"):
            from mlflow.tracking import MlflowClient

            client = MlflowClient(os.environ[URI])
            found = client.get_experiment_by_name(os.environ[EXPERIMENT])
            experiment = found.experiment_id if found else self._create_experiment(client)
        if self.run_file.exists():
            run_id = read_json(self.run_file)["run_id"]
            client.update_run(run_id, "RUNNING")
            return client, run_id
        run_id = client.create_run(experiment, run_name=first["run"], tags=first["tags"]).info.run_id
        write_json(self.run_file, {"run_id": run_id})
        client.log_batch(run_id, params=_params(first["params"]))
        return client, run_id

    def _create_experiment(self, client: Any) -> str:
        local = os.environ[URI].startswith("sqlite:")
        artifacts = (self.spool.parents[1] / "mlartifacts").resolve().as_uri() if local else None
        return client.create_experiment(os.environ[EXPERIMENT], artifact_location=artifacts)


def _metrics(event: dict[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(key, value, event["time"], event["step"]) for key, value in event.get("metrics", {}).items()]


def _params(values: dict[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(key, str(value)[:6000]) for key, value in values.items()]


@contextlib.contextmanager
def _creation_lock(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _alive(process: int) -> bool:
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
