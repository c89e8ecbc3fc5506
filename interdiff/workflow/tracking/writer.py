"""The process that reads a stage's spool file and writes to MLflow."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interdiff.files import read_json, write_json
from interdiff.workflow.tracking.connection import URI, log_params, open_store, process_alive

POLL = 0.5
"""Seconds between looks at the spool file."""
FLUSH = 5.0
"""Seconds between writes to MLflow."""
SYSTEM = 10.0
"""Seconds between samples of the machine's load."""


class Writer:
    """Reads a spool file and writes its events to MLflow."""

    def __init__(self, spool: Path, run_file: Path, parent: int) -> None:
        self.spool, self.run_file, self.parent = spool, run_file, parent

    def run(self) -> None:
        """Write until the stage says that it ends, or has died."""
        events = self._events()
        first = next(events)
        client, run_id = self._open(first)
        # Until here: a short stage waits for its run's id.
        os.nice(19)
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


def main() -> None:
    """Entry of the writing process: spool file, run file, process id of the stage."""
    spool, run_file, parent = sys.argv[1:]
    Writer(Path(spool), Path(run_file), int(parent)).run()


if __name__ == "__main__":
    main()
