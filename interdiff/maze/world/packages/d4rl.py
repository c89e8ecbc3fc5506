"""What the optional package d4rl says of Maze2D: where its data sets are, and between which scores returns are normalised."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

from interdiff.errors import InputError

PREFIX = "maze2d-"
ENVIRONMENTS = {
    "umaze": "maze2d-umaze-v1",
    "medium": "maze2d-medium-v1",
    "large": "maze2d-large-v1",
    "umaze_eval": "maze2d-eval-umaze-v1",
    "medium_eval": "maze2d-eval-medium-v1",
    "large_eval": "maze2d-eval-large-v1",
}
"""d4rl's names of our maps."""


def infos() -> ModuleType | None:
    """The package's tables, None where it is not installed."""
    # It says at length which of its other simulators are missing.
    os.environ.setdefault("D4RL_SUPPRESS_IMPORT_ERROR", "1")
    try:
        return importlib.import_module("d4rl.infos")
    except ImportError:
        return None


def dataset_path(name: str) -> Path:
    """Where d4rl keeps one of its data sets, such as "maze2d-umaze-v1".

    Raises:
        InputError: the package is not installed, has no such data set, or has not downloaded it.
    """
    tables = infos()
    if tables is None:
        raise InputError(f"{name}: data sets by name need the package d4rl; give the path of the file instead")
    urls = {key: url for key, url in tables.DATASET_URLS.items() if key.startswith(PREFIX)}
    if name not in urls:
        raise InputError(f"{name}: no data set of d4rl; expected one of {', '.join(urls)}")
    path = Path(importlib.import_module("d4rl.offline_env").filepath_from_url(urls[name]))
    if not path.is_file():
        raise InputError(f"{name}: {path} is not there; download it from {urls[name]}")
    return path


def reference_scores(layout: str) -> tuple[float, float] | None:
    """The returns of d4rl's random policy and reference controller on one of our maps, None where they are not known."""
    tables, name = infos(), ENVIRONMENTS.get(layout)
    if tables is None or name not in tables.REF_MIN_SCORE:
        return None
    return tables.REF_MIN_SCORE[name], tables.REF_MAX_SCORE[name]
