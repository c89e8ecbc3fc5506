"""Shards of video samples: webdataset tars of tensors and prompts.

A sample is one member per column, `{key}.latent.pt`, `{key}.embed.pt`, `{key}.prompt.txt`, as in the Wan2.1-synthesised set
(github.com/NVlabs/rcm, scripts that build and merge its shards; merging nests members as `{key}/{key}.latent.pt`). A tensor
is a file of `torch.save`.

R masks or sets of K keyframes, T frames, H x W latents.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import atomic_path

TEXT = ".txt"
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "int64": torch.int64}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Column:
    """What the members of a column must be.

    Attributes:
        suffix: after the key and a dot, ending in .pt or .txt.
        dtype: of a tensor, a name in DTYPES; None for text.
        shape: of a tensor; None stands for any size, which may differ between samples.
        even: the last two sizes, those of frames, are even, as Wan's patches of 2 x 2 need them.
    """

    suffix: str
    dtype: str | None = None
    shape: tuple[int | None, ...] = ()
    even: bool = False

    @property
    def is_text(self) -> bool:
        return self.suffix.endswith(TEXT)


LATENT = Column("latent.pt", "bfloat16", (16, None, None, None), even=True)
EMBED = Column("embed.pt", "bfloat16", (None, None))
PROMPT = Column("prompt.txt")
COLUMNS = {"latent": LATENT, "embed": EMBED, "prompt": PROMPT}
"""Of the Wan2.1-synthesised set: latents [16, T, H, W], embeddings [tokens, width] padded with zero rows, UTF-8 prompts."""
GENERATED_COLUMNS = COLUMNS | {"noise": Column("noise.pt", "bfloat16", (16, None, None, None), even=True)}
"""Of clips that a backbone made, beside that what it made them of."""
ANCHOR_COLUMNS = {
    "frames": Column("frames.pt", "int64", (None, None)),
    "keyframes": Column("keyframes.pt", "bfloat16", (None, 16, None, None, None), even=True),
}
"""Of phase 1's outputs: R sets of keyframes' places [R, K], and what it made of them [R, 16, K, H, W]."""
OPTICAL_FLOW_COLUMNS = {
    "filled": Column("filled.pt", "bfloat16", (None, 16, None, None, None), even=True),
    "mask": Column("mask.pt", "int64", (None, None)),
}
"""Of optical flow's shards: clips filled by it [R, 16, T, H, W], and which frames it was given [R, T]."""


def write_shard(
    path: Path, samples: Iterable[tuple[str, Mapping[str, Tensor | str]]], columns: Mapping[str, Column]
) -> None:
    """Writes samples, (key, values by column), as one tar of webdataset's, whole or not at all.

    The same samples give the same bytes.

    Raises:
        InputError: a value has another shape or type than its column, a column is missing, or a key occurs twice.
    """
    # Here, since what only reads shards does without it.
    from webdataset import TarWriter

    written: set[str] = set()
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as stream,
        TarWriter(stream, encoder=False, mtime=0) as tar,
    ):
        for key, values in samples:
            if key in written:
                raise InputError(f"{path}: key {key!r} occurs twice")
            written.add(key)
            if values.keys() != columns.keys():
                raise InputError(f"{path}: key {key!r}: columns {sorted(values)}; expected {sorted(columns)}")
            contents = {
                column.suffix: _encoded(values[name], column, f"{path}: key {key!r}: column {name!r}")
                for name, column in columns.items()
            }
            tar.write({"__key__": key} | contents)


def _encoded(value: Tensor | str, column: Column, where: str) -> bytes:
    if column.is_text:
        if not isinstance(value, str):
            raise InputError(f"{where}: {type(value).__name__}; expected text")
        return value.encode()
    if not isinstance(value, Tensor):
        raise InputError(f"{where}: {type(value).__name__}; expected a tensor")
    check_tensor(tuple(value.shape), value.dtype, column, where)
    check_finite(value, where)
    buffer = io.BytesIO()
    # A clone: a view would be saved with all of its batch.
    torch.save(value.detach().cpu().contiguous().clone(), buffer)
    return buffer.getvalue()


def check_finite(values: Tensor, where: str) -> None:
    """InputError that begins with `where` if values are not finite."""
    if values.is_floating_point() and (bad := int((~values.isfinite()).sum())):
        raise InputError(f"{where}: {bad} of {values.numel()} values are not finite")


def check_tensor(shape: tuple[int, ...], dtype: torch.dtype, column: Column, where: str) -> None:
    """InputError that begins with `where` if a tensor of this shape and type is none of the column's."""
    if _NAMES.get(dtype) != column.dtype:
        raise InputError(f"{where}: type {str(dtype).removeprefix('torch.')}; expected {column.dtype}")
    sizes_fit = all(wanted in (None, size) for size, wanted in zip(shape, column.shape, strict=False))
    if len(shape) != len(column.shape) or not sizes_fit:
        expected = ", ".join("any" if size is None else str(size) for size in column.shape)
        raise InputError(f"{where}: shape {list(shape)}; expected [{expected}]")
    if not all(shape):
        raise InputError(f"{where}: shape {list(shape)} has no values")
    if column.even and any(size % 2 for size in shape[-2:]):
        raise InputError(f"{where}: shape {list(shape)}; expected an even height and width")
