"""Where MLflow's store is, and how processes share it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from interdiff.errors import InputError

PORTS = {"http": 80, "https": 443}
PATIENCE = 2.0
"""Seconds in which a server must take a connection."""
CLIENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default it would try a server that is gone for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
OWN_EXPERIMENT = "interdiff"
FOLDER = ".tracking"
"""Where, below the results, events wait for their writer."""


_ours: dict[str, str] = {}
"""MLflow's variables as this process has set them; others are the user's."""


def configure(enabled: bool, uri: str | None, experiment: str | None, results: str | Path) -> None:
    """Set MLflow's variables for the jobs that this process starts: as configured, else as the user has, else to our own."""
    if not enabled:
        os.environ.pop(URI, None)
        return
    for name, value, own in ((URI, uri, own_uri(results)), (EXPERIMENT, experiment, OWN_EXPERIMENT)):
        users = os.environ.get(name)
        if value or not users or users == _ours.get(name):
            os.environ[name] = _ours[name] = value or own


def own_uri(results: str | Path) -> str:
    """The store under a results root."""
    return f"sqlite:///{Path(results).resolve()}/mlflow.db"


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping with dotted keys."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        nested = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return values


def unanswered() -> str | None:
    """What is wrong with the server of MLFLOW_TRACKING_URI, in a sentence, where nobody answers there; else None."""
    uri = urlsplit(os.environ.get(URI, ""))
    if uri.scheme not in PORTS or not uri.hostname:
        return None
    try:
        socket.create_connection((uri.hostname, uri.port or PORTS[uri.scheme]), PATIENCE).close()
    except OSError as error:
        return f"no MLflow server answers at {uri.scheme}://{uri.netloc} ({error.strerror or error})"
    return None


def open_store(results: Path) -> tuple[Any, str]:
    """MLflow's client for the store of MLFLOW_TRACKING_URI and the id of the experiment, both made where missing.

    Raises:
        InputError: no server answers there.
    """
    for name, value in CLIENT.items():
        os.environ.setdefault(name, value)
    if problem := unanswered():
        raise InputError(problem)
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
