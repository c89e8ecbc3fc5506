"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import glob
import hashlib
import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from interdiff.errors import InputError

SUMS = "SHA256SUMS"
"""Beside files that are passed on: their digests, as sha256sum writes and checks them."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced to disk and renamed to `path`.

    Missing parent folders are made, and the file's mode is the usual one (some writers make it private). On any error the
    temporary file is removed and an older `path` stays.

    Raises:
        InputError: the disk is full (names `path`).
    """
    path = Path(path)
    # The suffix stays last: writers such as numpy.savez choose or extend by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except Exception as error:
        if is_disk_full(error):
            raise InputError(f"{path}: no space left on the disk; free some and run again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: Path, contents: str) -> None:
    """InputError where there is no such folder of `contents`."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder of {contents}")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that a stopped `atomic_path` has left."""
    return re.fullmatch(r"\..*\.[0-9a-f]{8}\.tmp(\..*)?", path.name) is not None


def remove_temporaries(path: Path) -> None:
    """Remove what killed writers of `path` have left beside it, while nobody else writes it."""
    for temporary in path.parent.glob(f".{glob.escape(path.stem)}.????????.tmp{path.suffix}"):
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_disk_full(error: BaseException) -> bool:
    """Whether a full disk or quota is behind an error of any writer (some keep only the message)."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; InputError naming it where it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Write rows as CSV, atomically.

    Args:
        columns: their order, by default that in which keys first occur. Missing values stay empty.

    Raises:
        InputError: a row has a key outside `columns`.
    """
    rows = list(rows)
    names = list(columns) if columns is not None else list(dict.fromkeys(key for row in rows for key in row))
    unknown = sorted({key for row in rows for key in row} - set(names))
    if unknown:
        raise InputError(f"{path}: unexpected column {unknown[0]!r}; expected {', '.join(names)}")
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, in hex; InputError naming the file where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


_RENAMED = {"keyframes": "keypoints"}
"""Arrays by their older names."""


def load_arrays(path: Path, fields: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The named (or all) arrays of an .npz file; InputError naming file and array where one is missing or unreadable."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in fields if name not in archive]
            if missing and (older := _RENAMED.get(missing[0])) in archive:
                raise InputError(f"{path}: array {older!r}, renamed to {missing[0]!r}; make the file again")
            if missing:
                raise InputError(f"{path}: array {missing[0]!r} is missing; expected {', '.join(fields)}")
            return {name: archive[name] for name in fields or archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable .npz file ({error})") from error


def write_arrays(
    path: str | Path, arrays: Mapping[str, np.ndarray], compress: bool = False, finite: bool = False
) -> None:
    """Write arrays as .npz, atomically.

    Args:
        finite: refuse values that are not finite, from which some figures would come out finite.

    Raises:
        InputError: an array has such values.
    """
    for name, values in arrays.items() if finite else ():
        if values.dtype.kind == "f" and (bad := int((~np.isfinite(values)).sum())):
            raise InputError(f"{path}: {name}: {bad} of {values.size} values are not finite; has a network diverged?")
    with atomic_path(path) as temporary:
        if compress:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        else:
            np.savez(temporary, allow_pickle=False, **arrays)
