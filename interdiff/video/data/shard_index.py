"""The index of shards: where the numbers of every sample's columns lie in its tar.

A file of `torch.save` is an uncompressed zip whose pickle says shape and type, and whose record `data/0` holds the numbers. The
index keeps where these are, so that a sample is read as a view of the mapped file and nothing is unpickled; making the index
reads each pickle once, by torch's unpickler that knows tensors alone.
"""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.video.data.shards import Column, check_tensor

_ZIP_HEADER = 30


def write_index(path: Path, shards: Sequence[Path], columns: Mapping[str, Column], partial: bool = False) -> None:
    """Reads where everything lies in `shards`, checks it, and writes that as arrays.

    Samples are in the order of the shards as given and of their first members. Shards are found again relative to the
    index's folder.

    Args:
        partial: allow samples without some of the columns, which are then left out.

    Raises:
        InputError: a shard is missing, truncated or no tar; a sample lacks a column; a key occurs twice; a member is no
            tensor file, or of another shape or type. Names shard, key and column.
    """
    found: dict[str, tuple[int, dict[str, _Place]]] = {}
    for number, shard in enumerate(shards):
        for key, places in _scan(shard, columns).items():
            if key in found:
                raise InputError(f"{shard}: key {key!r} is in {shards[found[key][0]]} too")
            missing = [name for name in columns if name not in places]
            if missing and not partial:
                raise InputError(
                    f"{shard}: key {key!r}: column {missing[0]!r} ({columns[missing[0]].suffix}) is missing"
                )
            if not missing:
                found[key] = number, places
    if not found:
        raise InputError(f"{path}: no samples with {', '.join(columns)} in {len(shards)} shards")
    arrays: dict[str, np.ndarray] = {
        "shards": np.array([os.path.relpath(shard, path.parent) for shard in shards]),
        "sizes": np.array([shard.stat().st_size for shard in shards]),
        "keys": np.array(list(found)),
        "shard": np.array([number for number, _ in found.values()]),
    }
    for name, column in columns.items():
        at = [sample[name] for _, sample in found.values()]
        arrays[f"{name}.offset"] = np.array([place.offset for place in at])
        arrays[f"{name}.bytes"] = np.array([place.bytes for place in at])
        arrays[f"{name}.dtype"] = np.array(column.dtype or "text")
        arrays[f"{name}.shape"] = np.array([place.shape for place in at])
    write_arrays(path, arrays)


@dataclass(frozen=True)
class _Place:
    """Where a member's content lies in its shard, and the shape of a tensor."""

    offset: int
    bytes: int
    shape: tuple[int, ...]


def _scan(shard: Path, columns: Mapping[str, Column]) -> dict[str, dict[str, _Place]]:
    """The places of one shard by key and column."""
    suffixes = {column.suffix: name for name, column in columns.items()}
    samples: dict[str, dict[str, _Place]] = {}
    with _opened(shard) as stream:
        for member in _members(shard, stream):
            key, _, suffix = member.name.rsplit("/", 1)[-1].partition(".")
            name = suffixes.get(suffix)
            if name is None:
                continue
            where = f"{shard}: key {key!r}: column {name!r}"
            if name in samples.setdefault(key, {}):
                raise InputError(f"{where}: occurs twice")
            samples[key][name] = _place(stream, member, columns[name], where)
    return samples


def _opened(shard: Path) -> BinaryIO:
    try:
        return shard.open("rb")
    except OSError as error:
        raise InputError(f"{shard}: cannot be read ({error.strerror})") from error


def _members(shard: Path, stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    size = shard.stat().st_size
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                if member.isfile():
                    if member.offset_data + member.size > size:
                        raise InputError(f"{shard}: truncated inside {member.name!r}")
                    yield member
            # A whole tar ends with blocks of zeros; a cut between members would pass for its end.
            if size < tar.offset + tarfile.BLOCKSIZE:
                raise InputError(f"{shard}: truncated after {len(tar.getmembers())} members")
    except tarfile.TarError as error:
        raise InputError(f"{shard}: not a tar file, or a truncated one ({error})") from error


def _place(stream: BinaryIO, member: tarfile.TarInfo, column: Column, where: str) -> _Place:
    if column.is_text:
        return _Place(member.offset_data, member.size, ())
    part: Any = _Part(stream, member.offset_data, member.size)
    try:
        with zipfile.ZipFile(part) as archive:
            records = [record for record in archive.infolist() if "/data/" in record.filename]
        part.seek(0)
        tensor = torch.load(part, map_location="meta", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{where}: not a file of one tensor ({str(error).splitlines()[0]})") from error
    if not isinstance(tensor, Tensor) or len(records) != 1 or records[0].compress_type != zipfile.ZIP_STORED:
        raise InputError(f"{where}: expected a file of one tensor")
    if not tensor.is_contiguous():
        raise InputError(
            f"{where}: strides {tensor.stride()} of shape {tuple(tensor.shape)}; expected a contiguous tensor"
        )
    check_tensor(tuple(tensor.shape), tensor.dtype, column, where)
    start = int(tensor.storage_offset()) * tensor.element_size()
    length = tensor.numel() * tensor.element_size()
    if start + length > records[0].file_size:
        raise InputError(f"{where}: {records[0].file_size} bytes of numbers; expected {start + length}")
    return _Place(member.offset_data + _content_offset(part, records[0]) + start, length, tuple(tensor.shape))


def _content_offset(part: BinaryIO, record: zipfile.ZipInfo) -> int:
    """Where a zip record's content begins: its local header says how long name and padding are."""
    part.seek(record.header_offset)
    header = part.read(_ZIP_HEADER)
    lengths = (int.from_bytes(header[n : n + 2], "little") for n in (26, 28))
    return record.header_offset + _ZIP_HEADER + sum(lengths)


class _Part(io.RawIOBase):
    """A part of an open file as a file of its own, read only."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._at = stream, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._stream.seek(self._offset + self._at)
        count = max(0, min(len(buffer), self._size - self._at))
        content = self._stream.read(count)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
