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
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.video.data.shards import Column, check_finite, check_tensor
from interdiff.video.data.tar_members import members, open_shard

_ZIP_HEADER = 30


def write_index(
    path: Path,
    shards: Sequence[Path],
    columns: Mapping[str, Column],
    partial: bool = False,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> LeftOut:
    """Reads all of `shards`, checks every sample, and writes where its columns lie as arrays.

    Samples are in the order of the shards as given and of their first members. Shards are found again relative to the
    index's folder.

    Args:
        partial: allow samples without some of the columns, which are then left out.
        progress: of the shards that are read.

    Raises:
        InputError: a shard is missing, truncated or no tar; a sample lacks a column; a key occurs twice; a member is no
            tensor file, of another shape or type, has values that are not finite, or is text that is not UTF-8; more
            than a tenth of the samples have none of the columns. Names shard, key and column.
    """
    found: dict[str, tuple[int, dict[str, _Place]]] = {}
    left_out = LeftOut()
    for number, shard in enumerate(progress(shards)):
        for key, places in _scan(shard, columns, left_out).items():
            if key in found:
                raise InputError(f"{shard}: key {key!r} is in {shards[found[key][0]]} too")
            missing = [name for name in columns if name not in places]
            if missing and not partial:
                raise InputError(
                    f"{shard}: key {key!r}: column {missing[0]!r} ({columns[missing[0]].suffix}) is missing"
                )
            if missing:
                left_out.partial += 1
            else:
                found[key] = number, places
    if not found:
        raise InputError(f"{path}: no samples with {', '.join(columns)} in {len(shards)} shards{left_out.others()}")
    if len(left_out.foreign) > 0.1 * (len(found) + len(left_out.foreign)):
        raise InputError(f"{path}: {len(found)} samples alone have {', '.join(columns)}{left_out.others()}")
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
    return left_out


@dataclass
class LeftOut:
    """What an index does not have: keys whose members are of no column, their suffixes, and how many lack a column."""

    foreign: set[str] = field(default_factory=set)
    suffixes: Counter[str] = field(default_factory=Counter)
    partial: int = 0

    def others(self) -> str:
        """In words, such as `; 3 more have other members: latent.npy (3)`; nothing where nothing is left out."""
        if not self.foreign:
            return ""
        suffixes = ", ".join(f"{suffix} ({count})" for suffix, count in self.suffixes.most_common(5))
        return f"; {len(self.foreign)} more have other members: {suffixes}"


@dataclass(frozen=True)
class _Place:
    """Where a member's content lies in its shard, and the shape of a tensor."""

    offset: int
    bytes: int
    shape: tuple[int, ...]


def _scan(shard: Path, columns: Mapping[str, Column], left_out: LeftOut) -> dict[str, dict[str, _Place]]:
    """The places of one shard by key and column."""
    suffixes = {f".{column.suffix}": name for name, column in columns.items()}
    samples: dict[str, dict[str, _Place]] = {}
    others: dict[str, list[str]] = {}
    with open_shard(shard) as stream:
        for member in members(shard, stream):
            suffix = next((suffix for suffix in suffixes if member.name.lower().endswith(suffix)), None)
            if suffix is None:
                folder, _, rest = member.name.rpartition("/")
                key, _, other = rest.partition(".")
                others.setdefault(_key(f"{folder}/{key}"), []).append(other)
                continue
            key, name = _key(member.name[: -len(suffix)]), suffixes[suffix]
            where = f"{shard}: key {key!r}: column {name!r}"
            if name in samples.setdefault(key, {}):
                raise InputError(f"{where}: occurs twice")
            samples[key][name] = _place(stream, member, columns[name], where)
    known = {part for key in samples for part in (key, key.partition(".")[0])}
    for key in others.keys() - known:
        left_out.foreign.add(f"{shard}/{key}")
        left_out.suffixes.update(others[key])
    return samples


def _key(name: str) -> str:
    """webdataset's key, a member's path without its suffix; `key/key`, as the merged Wan2.1 shards nest, is `key`."""
    folder, _, last = name.removeprefix("./").strip("/").rpartition("/")
    return last if folder.rpartition("/")[2] in ("", last) else f"{folder}/{last}"


def _place(stream: BinaryIO, member: tarfile.TarInfo, column: Column, where: str) -> _Place:
    if column.is_text:
        stream.seek(member.offset_data)
        try:
            stream.read(member.size).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8 ({error.reason} at byte {error.start})") from error
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
    offset = member.offset_data + _content_offset(part, records[0]) + start
    stream.seek(offset)
    check_finite(torch.frombuffer(bytearray(stream.read(length)), dtype=tensor.dtype), where)
    return _Place(offset, length, tuple(tensor.shape))


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
