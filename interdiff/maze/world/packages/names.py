"""Data sets by the names that the packages d4rl, minari and ogbench give them, and other modules of optional packages."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from interdiff.errors import InputError
from interdiff.maze.world.packages import d4rl

MINARI, OGBENCH = "D4RL/pointmaze/", "pointmaze-"
"""How names of their data sets begin."""


def optional(module: str, extra: str, what: str) -> ModuleType:
    """A module of an optional package; InputError saying what needs it, and which extra of ours installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{what} needs the package of {module}, the extra {extra!r} ({error})") from error


def source_path(source: str) -> str:
    """The file of a data set that is named as its package does, such as maze2d-large-v1, D4RL/pointmaze/large-v2 or
    pointmaze-giant-navigate-v0; a path is given back.

    Raises:
        InputError: the package is not installed, or the data set is not there.
    """
    if source.startswith(d4rl.PREFIX):
        return str(d4rl.dataset_path(source))
    if Path(source).suffix:
        return source
    if source.startswith(MINARI):
        root = optional("minari.storage.datasets_root_dir", "minari", f"{source}: a data set by name")
        return str(_there(root.get_dataset_path(source) / "data" / "main_data.hdf5", f"`minari download {source}`"))
    if source.startswith(OGBENCH):
        package = optional("ogbench.utils", "ogbench", f"{source}: a data set by name")
        file = Path(package.DEFAULT_DATASET_DIR).expanduser() / f"{source}.npz"
        return str(_there(file, f"`ogbench.download_datasets(['{source}'])`"))
    return source


def _there(path: Path, how: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is not there; {how} downloads it")
    return path
