"""What a stage made, and of what: a record beside its outputs, for `make why` and `make verify`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interdiff.errors import InputError
from interdiff.files import canonical_json, file_sha256, is_temporary, read_json, write_json

FOLDER = ".manifest"
"""Beside the outputs, so that a folder that is moved or removed takes its records along."""


@dataclass(frozen=True)
class Manifest:
    """One job's record; all paths are relative to the results root."""

    stage: str
    identity: str
    spec: dict[str, Any]
    gpus: int
    inputs: dict[str, str]
    """SHA-256 by path."""
    outputs: dict[str, dict[str, Any]]
    """`describe` by path."""

    @property
    def first(self) -> str:
        """The first output: no other job has it."""
        return next(iter(self.outputs))

    def write(self, results: Path) -> None:
        """Write the record where `manifest_path` has it, atomically."""
        values = asdict(self)
        write_json(results / manifest_path(self.first), values | {"digest": _digest(values)})


def manifest_path(output: str | Path) -> Path:
    """Where the record of the job lies that has `output` as its first output."""
    output = Path(output)
    return output.parent / FOLDER / f"{output.name}.json"


def read_manifest(path: Path) -> Manifest:
    """Read a record; InputError naming it where it is missing, damaged or edited."""
    values = read_json(path)
    if not isinstance(values, dict) or values.pop("digest", None) != _digest(values):
        raise InputError(f"{path}: edited or damaged, its content does not match its digest")
    try:
        return Manifest(**values)
    except TypeError as error:
        raise InputError(f"{path}: written by another version of this program") from error


def manifest_files(results: Path) -> list[Path]:
    """All records below a results root, the latest last."""
    found = (path for path in results.rglob(f"{FOLDER}/*.json") if not is_temporary(path))
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path))


def placed_records(results: Path) -> Iterator[Manifest]:
    """The usable records that lie where they were written; `make verify` names the others."""
    for path in manifest_files(results):
        with contextlib.suppress(InputError):
            record = read_manifest(path)
            if manifest_path(record.first).as_posix() == relative_to(results, path):
                yield record


def relative_to(results: Path, path: Path) -> str:
    """A path as records name it."""
    return Path(os.path.relpath(path, results)).as_posix()


def describe(path: Path) -> dict[str, Any]:
    """Size, SHA-256, and type and shape of each array of a file that holds arrays."""
    entry = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return entry | ({"arrays": shapes(path)} if path.suffix in _READERS else {})


def shapes(path: Path) -> dict[str, str]:
    """Type and shape by array of an .npz, .safetensors or .hdf5 file, such as `float32[3, 4]`; of others, nothing.

    Raises:
        InputError: the file is not readable as what its name says.
    """
    try:
        return {name: f"{kind}{list(shape)}" for name, kind, shape in _READERS.get(path.suffix, _no_arrays)(path)}
    # Readers of damaged files raise many kinds, SafetensorError and NotImplementedError (zip) among them.
    except Exception as error:
        raise InputError(f"{path}: not a readable {path.suffix} file ({error})") from error


_Arrays = Iterator[tuple[str, Any, Iterable[int]]]


def _no_arrays(path: Path) -> _Arrays:
    yield from ()


def _npz(path: Path) -> _Arrays:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                first = np.lib.format.read_magic(stream) == (1, 0)
                read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
                yield name.removesuffix(".npy"), dtype, shape


def _safetensors(path: Path) -> _Arrays:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        for name in sorted(file.keys()):
            part = file.get_slice(name)
            yield name, part.get_dtype(), part.get_shape()


def _hdf5(path: Path) -> _Arrays:
    import h5py

    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            if isinstance(part := file[name], h5py.Dataset):
                yield name, part.dtype, part.shape


_READERS = {".npz": _npz, ".safetensors": _safetensors, ".hdf5": _hdf5}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def git_commit() -> str | None:
    """The commit of this code, with `-dirty` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        root = Path(__file__).parent
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=5)
        return done.stdout.strip()
    return None
