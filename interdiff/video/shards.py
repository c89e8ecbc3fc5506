"""Shards of video samples: webdataset tars of tensors and prompts, read in place through an index of offsets.

A sample is one member per column, `{key}.latent.pt`, `{key}.embed.pt`, `{key}.prompt.txt`, as in the Wan2.1-synthesised set
(github.com/NVlabs/rcm, scripts that build and merge its shards; merging nests members as `{key}/{key}.latent.pt`). A tensor
is a file of `torch.save`: an uncompressed zip whose pickle says shape and type, and whose record `data/0` holds the numbers.
The index keeps where these numbers lie, so that reading a sample is a view of the mapped file and nothing is unpickled; making
the index reads each pickle once, by torch's unpickler that knows tensors alone.
"""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import atomic_path, load_arrays, write_arrays

TEXT, TENSOR = ".txt", ".pt"
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "int64": torch.int64}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_ZIP_HEADER = 30


@dataclass(frozen=True)
class Column:
    """What the members of a column must be.

    Attributes:
        suffix: after the key and a dot, ending in .pt or .txt.
        dtype: of a tensor, a name in DTYPES; None for text.
        shape: of a tensor; None stands for any size, which may differ between samples.
    """

    suffix: str
    dtype: str | None = None
    shape: tuple[int | None, ...] = ()

    @property
    def is_text(self) -> bool:
        return self.suffix.endswith(TEXT)


LATENT = Column("latent.pt", "bfloat16", (16, None, None, None))
EMBED = Column("embed.pt", "bfloat16", (None, None))
PROMPT = Column("prompt.txt")
COLUMNS = {"latent": LATENT, "embed": EMBED, "prompt": PROMPT}
"""Of the Wan2.1-synthesised set: latents [16, T, H, W], embeddings [tokens, width] padded with zero rows, UTF-8 prompts."""
TEACHER_COLUMNS = {
    "filled": Column("filled.pt", "bfloat16", (None, 16, None, None, None)),
    "mask": Column("mask.pt", "int64", (None, None)),
}
"""Of teacher shards: clips filled by it [R, 16, T, H, W], and which frames it was given [R, T]."""


def write_shard(
    path: Path, samples: Iterable[tuple[str, Mapping[str, Tensor | str]]], columns: Mapping[str, Column]
) -> None:
    """Writes samples, (key, values by column), as one tar, whole or not at all; the same samples give the same bytes.

    Raises:
        InputError: a value has another shape or type than its column, a column is missing, or a key occurs twice.
    """
    written: set[str] = set()
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, values in samples:
            if key in written:
                raise InputError(f"{path}: key {key!r} occurs twice")
            written.add(key)
            if values.keys() != columns.keys():
                raise InputError(f"{path}: key {key!r}: columns {sorted(values)}; expected {sorted(columns)}")
            for name, column in columns.items():
                content = _encoded(values[name], column, f"{path}: key {key!r}: column {name!r}")
                member = tarfile.TarInfo(f"{key}.{column.suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _encoded(value: Tensor | str, column: Column, where: str) -> bytes:
    if column.is_text:
        if not isinstance(value, str):
            raise InputError(f"{where}: {type(value).__name__}; expected text")
        return value.encode()
    if not isinstance(value, Tensor):
        raise InputError(f"{where}: {type(value).__name__}; expected a tensor")
    _check_tensor(tuple(value.shape), value.dtype, column, where)
    buffer = io.BytesIO()
    # A clone: a view would be saved with all of its batch.
    torch.save(value.detach().cpu().contiguous().clone(), buffer)
    return buffer.getvalue()


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
    _check_tensor(tuple(tensor.shape), tensor.dtype, column, where)
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


def _check_tensor(shape: tuple[int, ...], dtype: torch.dtype, column: Column, where: str) -> None:
    if _NAMES.get(dtype) != column.dtype:
        raise InputError(f"{where}: type {str(dtype).removeprefix('torch.')}; expected {column.dtype}")
    sizes_fit = all(wanted in (None, size) for size, wanted in zip(shape, column.shape, strict=False))
    if len(shape) != len(column.shape) or not sizes_fit:
        expected = ", ".join("any" if size is None else str(size) for size in column.shape)
        raise InputError(f"{where}: shape {list(shape)}; expected [{expected}]")


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


class ShardDataset(torch.utils.data.Dataset):
    """Samples of an index by number or by key: a map-style dataset over mapped files.

    Tensors are copies of their own, so that one that is kept does not keep a file. Columns that are not asked for are not
    read. An index and its shards move together: shards are found relative to it.
    """

    def __init__(self, index: Path, columns: Sequence[str] = tuple(COLUMNS)) -> None:
        """Opens an index; InputError where it lacks a column, or a shard is gone or has changed since it was made."""
        names = [f"{name}.{field}" for name in columns for field in ("offset", "bytes", "dtype", "shape")]
        arrays = load_arrays(index, ("shards", "sizes", "keys", "shard", *names))
        self.columns = tuple(columns)
        self.keys = [str(key) for key in arrays["keys"]]
        self.paths = [index.parent / str(name) for name in arrays["shards"]]
        self._arrays = arrays
        for path, size in zip(self.paths, arrays["sizes"].tolist(), strict=True):
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                raise InputError(f"{path}: {found or 'no'} bytes; the index {index} was made from {size}")
        self._maps: dict[int, np.memmap] = {}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each key."""
        return {key: number for number, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """One sample: its `key`, and a tensor or a text by column."""
        return {"key": self.keys[number]} | {name: self._value(name, number) for name in self.columns}

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [self[number] for number in numbers]

    def by_key(self, key: str) -> dict[str, Any]:
        """The sample of a key, for joins with other shards whatever their order."""
        return self[self.number(key)]

    def number(self, key: str) -> int:
        """The number of a key; InputError where it is in none of the shards."""
        if key not in self.numbers:
            raise InputError(
                f"key {key!r} is in none of {len(self.paths)} shards, the first of which is {self.paths[0]}"
            )
        return self.numbers[key]

    def keys_in(self, shard: int) -> list[str]:
        """The keys of one shard, in its order."""
        return [key for key, number in zip(self.keys, self._arrays["shard"].tolist(), strict=True) if number == shard]

    def shape(self, column: str, number: int = 0) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return tuple(self._arrays[f"{column}.shape"][number].tolist())

    def view(self, column: str, number: int) -> Tensor:
        """A tensor that shares the mapped file's memory; not to be written to."""
        return self._tensor(column, number, self._content(column, number))

    def batch(self, column: str, numbers: Sequence[int]) -> Tensor:
        """Tensors of one shape stacked, [B, ...]: each number is read once, into its place."""
        return torch.stack([self.view(column, number) for number in numbers])

    def _value(self, column: str, number: int) -> Tensor | str:
        if str(self._arrays[f"{column}.dtype"]) == "text":
            return bytes(self._content(column, number)).decode()
        # NumPy copies faster than a clone, whose threads get in the way of those that train.
        return self._tensor(column, number, self._content(column, number).copy())

    def _tensor(self, column: str, number: int, content: np.ndarray) -> Tensor:
        dtype = DTYPES[str(self._arrays[f"{column}.dtype"])]
        return torch.frombuffer(content, dtype=dtype).view(self.shape(column, number))

    def place(self, column: str, number: int) -> tuple[int, int, int]:
        """Where a value's bytes are: the number of its shard, the offset in it, and how many there are."""
        names = ("shard", f"{column}.offset", f"{column}.bytes")
        shard, start, size = (int(self._arrays[name][number]) for name in names)
        return shard, start, size

    def _content(self, column: str, number: int) -> np.ndarray:
        shard, start, size = self.place(column, number)
        if shard not in self._maps:
            # Copy on write: torch wants memory that it may write to; the file never changes.
            self._maps[shard] = np.memmap(self.paths[shard], mode="c")
        return self._maps[shard][start : start + size]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}


def seeded_batches(count: int, batch_size: int, seed: int, first: int = 0) -> Iterator[np.ndarray]:
    """Endless batches of numbers below `count`, each once per epoch, from batch `first` on: all it takes to resume.

    What is left over at the end of an epoch, less than a batch, waits for another one.

    Raises:
        InputError: there are fewer samples than a batch has.
    """
    per_epoch = count // batch_size
    if not per_epoch:
        raise InputError(f"batch_size={batch_size}: more than the {count} samples")
    while True:
        epoch, batch = divmod(first, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(count)
        for start in range(batch * batch_size, per_epoch * batch_size, batch_size):
            yield order[start : start + batch_size]
        first = (epoch + 1) * per_epoch
