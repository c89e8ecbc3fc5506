"""How fast samples come out of shards, beside the raw bound and webdataset's own reader, in one run on one machine.

    python -m benchmarks.shards [SAMPLES]

Writes SAMPLES (64, about half a gigabyte) of the size of the Wan2.1-synthesised set to a temporary folder, reads them once
to fill the page cache, and prints samples/s, the best of ROUNDS, of: the bound (a copy of the same bytes out of the mapped
files), `ShardDataset` in process, webdataset in process, and both in 1 and 2 workers of a DataLoader. The bars: 0.8 of the
bound in process, and twice webdataset.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch.utils.data import DataLoader

from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, write_shard

LATENT, EMBED = (16, 21, 60, 104), (512, 4096)
PER_SHARD = 16
ROUNDS = 3


def main() -> None:
    """Prints the rates and their ratios."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as folder:
        shards, index = written(Path(folder), samples)
        data = ShardDataset(index)
        urls = [str(path) for path in shards]
        maps = [np.memmap(path, mode="r") for path in data.paths]
        bound = rate(samples, partial(raw, data, maps))
        print(f"raw bound: {bound:.0f} samples/s ({bound * sample_bytes(data) / 1e9:.1f} GB/s)")
        for workers in (0, 1, 2):
            ours = rate(samples, partial(ours_in, data, workers))
            theirs = rate(samples, partial(theirs_in, urls, workers))
            where = f"{workers} workers" if workers else "in process"
            print(
                f"{where}: ShardDataset {ours:.0f}, webdataset {theirs:.0f} samples/s;"
                f" {ours / bound:.2f} of the bound, {ours / theirs:.1f} times webdataset"
            )


def written(folder: Path, samples: int) -> tuple[list[Path], Path]:
    """Shards of random samples, and their index."""
    generator = torch.Generator().manual_seed(0)
    paths = []
    for first in range(0, samples, PER_SHARD):
        paths.append(folder / f"shard-{first // PER_SHARD:05d}.tar")
        write_shard(paths[-1], random_samples(range(first, min(first + PER_SHARD, samples)), generator), COLUMNS)
    write_index(folder / "index.npz", paths, COLUMNS)
    return paths, folder / "index.npz"


def random_samples(numbers: range, generator: torch.Generator) -> Iterator[tuple[str, dict[str, Any]]]:
    """Samples of the published size."""
    for number in numbers:
        latent, embed = (torch.randn(shape, generator=generator).bfloat16() for shape in (LATENT, EMBED))
        yield f"{number:09d}", {"latent": latent, "embed": embed, "prompt": f"Sample {number}."}


def sample_bytes(data: ShardDataset) -> int:
    """Of the tensors of one sample."""
    return sum(data.view(column, 0).nbytes for column in ("latent", "embed"))


def raw(data: ShardDataset, maps: list[np.memmap]) -> Iterator[list[np.ndarray]]:
    """The same bytes, copied out of the mapped files and nothing else."""
    for number in range(len(data)):
        places = [data.place(column, number) for column in ("latent", "embed")]
        yield [maps[shard][start : start + size].copy() for shard, start, size in places]


def ours_in(data: ShardDataset, workers: int) -> Iterable[Any]:
    """Samples by number, alone or through workers."""
    if workers:
        return DataLoader(data, batch_size=None, num_workers=workers)
    return (data[number] for number in range(len(data)))


def theirs_in(urls: list[str], workers: int) -> Iterable[Any]:
    """webdataset's samples, decoded, alone or through workers."""
    stages = [webdataset.SimpleShardList(urls), webdataset.split_by_worker, webdataset.tarfile_to_samples()]
    decoder = webdataset.handle_extension("pt", lambda content: torch.load(io.BytesIO(content), weights_only=True))
    pipeline = webdataset.DataPipeline(*stages, webdataset.decode(decoder))
    return DataLoader(pipeline, batch_size=None, num_workers=workers) if workers else pipeline


def rate(samples: int, read: Callable[[], Iterable[Any]]) -> float:
    """Samples per second, the best of ROUNDS after one that is not counted."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for _ in read():
            pass
        seconds.append(time.perf_counter() - start)
    return samples / min(seconds[1:])


if __name__ == "__main__":
    main()
