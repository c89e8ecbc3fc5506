"""MLflow's pages, opened on a comparison of all variants."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from interdiff.errors import InputError
from interdiff.workflow.tracking.connection import URI, open_store
from interdiff.workflow.tracking.store import Store

REFINED = ("mse_refined", "crossed_refined", "collision_refined", "mse_oracle_refined")
"""Figures of plans after phase 2, on which the comparison opens."""


def comparison(store: Store, root: str) -> str:
    """Address of the page that compares all current variants, by their refined figures where they have such.

    MLflow's page of all parameters and metrics, one click away from there, begins with whatever is first in the alphabet.
    """
    found = list(reversed(store.find(kind="variant", current="yes")))
    if len(found) < 2:
        return f"{root}/#/experiments/{store.experiment}/runs"
    query: dict[str, Any] = {"runs": [run.info.run_id for run in found], "experiments": [store.experiment]}
    shown = [name for name in REFINED if any(name in run.data.metrics for run in found)]
    if shown:
        query |= {"metric": shown[0], "plot_metric_keys": shown, "plot_layout": {}}
    page = "metric" if shown else "compare-runs"
    return f"{root}/#/{page}?" + "&".join(f"{key}={quote(json.dumps(value))}" for key, value in query.items())


def show(results: Path, port: int) -> int:
    """Serve MLflow's pages on 127.0.0.1 until interrupted, and open the comparison in a browser if there is a screen.

    Raises:
        InputError: there is nothing to show yet, or the port is in use.
    """
    uri = os.environ[URI]
    if uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise InputError(f"{uri.removeprefix('sqlite:///')}: no runs yet; `make maze` makes some")
    if _answers(port):
        raise InputError(f"port {port} is in use; try PORT={port + 1}")
    address = comparison(Store(*open_store(results), results), f"http://127.0.0.1:{port}")
    command = ["mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", uri]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    with subprocess.Popen([sys.executable, "-m", *command]) as server:
        try:
            while server.poll() is None and not _answers(port):
                time.sleep(0.2)
            print(f"\nCompare the variants: {address}\n", flush=True)
            if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
                webbrowser.open(address)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
