"""Resumable progress of one training run: atomic, verified, never pickled."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import atomic_path, canonical_json, file_sha256, read_json, write_json
from interdiff.learning.checkpoints import read_tensors

log = logging.getLogger(__name__)

INDEX = "state.json"


class TrainingState:
    """A folder `results/.state/<identity>/`, of which no two processes may have one at a time.

    Inside a `with` block, a first SIGTERM or SIGINT sets `stop_requested`, so that the loop saves and exits, if not the
    block at its end; a second one exits at once.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.stop_requested = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> TrainingState:
        if not self._handlers and threading.current_thread() is threading.main_thread():
            self._handlers = {n: signal.signal(n, self._stop) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self.stop_requested and error is None:
            raise SystemExit(143)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop_requested:
            raise SystemExit(143)
        self.stop_requested = True
        log.info("stop requested: saving after this step (once more to stop at once)")

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The saved tree of tensors, on the CPU, and its meta data; None (and a warning) if it is damaged."""
        if not (self.folder / INDEX).exists():
            return None
        try:
            return self._read()
        except InputError as error:
            log.warning("the saved training state is damaged, training starts again from the beginning: %s", error)
            return None

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        index = read_json(self.folder / INDEX)
        if not isinstance(index, dict) or index.pop("digest", None) != _digest(index):
            raise InputError(f"{self.folder / INDEX}: its content does not match its digest")
        path = self.folder / index["tensors"]
        if file_sha256(path) != index["sha256"]:
            raise InputError(f"{path}: its content does not match the digest in {INDEX}")
        return unflatten(read_tensors(path), index["structure"]), index["meta"]

    def save(self, tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        """Save a tree of tensors and JSON meta data; the last save is valid until this one is complete.

        Raises:
            InputError: the disk is full; the last save is untouched.
        """
        flat, structure = flatten(tensors)
        # The file that the index does not point at: a kill at any moment leaves a valid pair.
        path = self.folder / ("b.safetensors" if self._current() == "a.safetensors" else "a.safetensors")
        with atomic_path(path) as temporary:
            save_file(flat, temporary)
        index = {"tensors": path.name, "sha256": file_sha256(path), "structure": structure, "meta": meta}
        index = json.loads(json.dumps(index))
        write_json(self.folder / INDEX, index | {"digest": _digest(index)})
        for other in self.folder.glob("*.safetensors"):
            if other != path:
                other.unlink(missing_ok=True)

    def _current(self) -> str | None:
        try:
            return read_json(self.folder / INDEX)["tensors"]
        except (InputError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Remove the folder once the declared outputs are in place."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _digest(index: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(index).encode()).hexdigest()


def flatten(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Split a tree of dicts, lists, tuples, tensors and JSON scalars into named tensors and a JSON structure.

    Raises:
        TypeError: a leaf is neither a tensor nor a JSON scalar (names its place).
    """
    tensors: dict[str, Tensor] = {}

    def encode(node: Any, place: str) -> Any:
        if isinstance(node, Tensor):
            name = f"{len(tensors)}{place}"
            tensors[name] = node.detach().cpu().contiguous()
            return {"tensor": name}
        if isinstance(node, dict):
            return {"dict": [[key, encode(value, f"{place}/{key}")] for key, value in node.items()]}
        if isinstance(node, list | tuple):
            return {type(node).__name__: [encode(value, f"{place}/{i}") for i, value in enumerate(node)]}
        if node is None or isinstance(node, bool | int | float | str):
            return {"value": node}
        raise TypeError(f"{place}: {type(node).__name__} cannot be saved in a training state")

    return tensors, encode(tree, "")


def unflatten(tensors: dict[str, Tensor], structure: Any) -> Any:
    """The inverse of `flatten`."""
    ((kind, node),) = structure.items()
    if kind == "tensor":
        return tensors[node]
    if kind == "dict":
        return {key: unflatten(tensors, value) for key, value in node}
    if kind in ("list", "tuple"):
        values = [unflatten(tensors, value) for value in node]
        return values if kind == "list" else tuple(values)
    return node
