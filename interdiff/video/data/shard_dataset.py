"""Samples of shards, read in place through an index of offsets, and their order in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.video.data.shards import COLUMNS, DTYPES


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

    def shape(self, column: str, number: int | None = None) -> tuple[int, ...]:
        """The shape of a tensor, or of all of them, without reading any.

        Raises:
            InputError: no number is given and shapes differ.
        """
        shapes = self.shapes(column)
        if number is None and (other := np.flatnonzero((shapes != shapes[0]).any(axis=1))).size:
            raise InputError(
                f"{column} of key {self.keys[0]!r} is {shapes[0].tolist()}, of key {self.keys[other[0]]!r}"
                f" {shapes[other[0]].tolist()}; expected one shape here"
            )
        return tuple(shapes[number or 0].tolist())

    def shapes(self, column: str) -> np.ndarray:
        """The shapes of all tensors of a column, [N, dimensions]."""
        shapes: np.ndarray = self._arrays[f"{column}.shape"]
        return shapes

    def view(self, column: str, number: int) -> Tensor:
        """A tensor that shares the mapped file's memory; not to be written to."""
        return self._tensor(column, number, self._content(column, number))

    def batch(self, column: str, numbers: Sequence[int]) -> Tensor:
        """Tensors stacked, [B, ...]: of one shape, but embeddings, whose missing rows are zeros as those past a prompt are."""
        views = [self.view(column, number) for number in numbers]
        return pad_sequence(views, batch_first=True) if column == "embed" else torch.stack(views)

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


def seeded_batches(shapes: np.ndarray, batch_size: int, seed: int, first: int = 0) -> Iterator[np.ndarray]:
    """Endless batches of numbers of samples, each once per epoch, from batch `first` on: all it takes to resume.

    The samples of a batch have equal rows of `shapes` [N, ...]. What is left over at the end of an epoch, less than a batch
    of each shape, waits for another one.

    Raises:
        InputError: there are fewer samples of a shape than a batch has.
    """
    kinds, groups, counts = np.unique(shapes, axis=0, return_inverse=True, return_counts=True)
    if few := np.flatnonzero(counts < batch_size).tolist():
        of = f" of shape {kinds[few[0]].tolist()}" if len(kinds) > 1 else ""
        raise InputError(f"batch_size={batch_size}: more than the {counts[few[0]]} samples{of}")
    per_epoch = int((counts // batch_size).sum())
    while True:
        epoch, batch = divmod(first, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(shapes))
        yield from _batches(order, groups.reshape(-1), batch_size)[batch:]
        first = (epoch + 1) * per_epoch


def _batches(order: np.ndarray, groups: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Numbers in order, each group's in batches of its own, sorted by when a batch is full."""
    full = []
    for group in range(groups.max() + 1):
        at = np.flatnonzero(groups[order] == group)
        full += list(at[: len(at) // batch_size * batch_size].reshape(-1, batch_size))
    return [order[at] for at in sorted(full, key=lambda at: at[-1])]
