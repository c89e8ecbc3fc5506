"""Members of tar files: of several tars in one file too, as `cat a.tar b.tar` makes them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from interdiff.errors import InputError


def open_shard(shard: Path) -> BinaryIO:
    """Open a file to read; InputError that names it where that fails."""
    try:
        return shard.open("rb")
    except OSError as error:
        raise InputError(f"{shard}: cannot be read ({error.strerror})") from error


def members(shard: Path, stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The regular files in a tar, or in several that were put together.

    Raises:
        InputError: it is no tar, or is truncated.
    """
    size, end, count = shard.stat().st_size, 0, 0
    while end < size:
        stream.seek(end)
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    count += 1
                    if member.offset_data + member.size > size:
                        raise InputError(f"{shard}: truncated inside {member.name!r}")
                    if member.isfile():
                        yield member
                # A whole tar ends with blocks of zeros; a cut between members would pass for its end.
                if size < tar.offset + tarfile.BLOCKSIZE:
                    raise InputError(f"{shard}: truncated after {count} members")
                end = _past_zeros(stream, tar.offset, size)
        except tarfile.TarError as error:
            raise InputError(f"{shard}: not a tar file, or a truncated one ({error})") from error


def _past_zeros(stream: BinaryIO, start: int, size: int) -> int:
    """Where the next tar begins, or the size of the file."""
    stream.seek(start)
    while block := stream.read(tarfile.BLOCKSIZE):
        if block.strip(b"\0"):
            return stream.tell() - len(block)
    return size
