"""Where MLflow's store is, and how processes share it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
