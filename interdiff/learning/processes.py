"""A batch in parts: one for each process that trains, times the micro-batches of a step.

All of them draw the whole batch from the same stream, which costs little beside the network, and keep their own part: the
mean of their losses is that of one process with one batch, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from interdiff.learning.draws import PartOfBatch

_micro = [0, 1]


@contextmanager
def micro_batch(number: int, count: int) -> Iterator[None]:
    """What is drawn meanwhile is part `number` of `count` of this process's share."""
    _micro[:] = number, count
    try:
        yield
    finally:
        _micro[:] = 0, 1


def processes() -> int:
    """The number of processes that train together now: 1 outside of training."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def parts() -> int:
    """How many parts a batch is drawn in."""
    return processes() * _micro[1]


def part_slice(micro: int, count: int) -> slice:
    """The places in a batch of micro-batch `micro` of `count` of this process."""
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    return slice(rank * count + micro, None, processes() * count)


def share(*batch: Tensor) -> tuple[Tensor, ...]:
    """This part's rows of tensors [B, ...] that hold the whole batch: every n-th, from its own number on."""
    return batch if parts() == 1 else tuple(tensor[part_slice(*_micro)] for tensor in batch)


def of_batch(generator: torch.Generator) -> PartOfBatch:
    """For rows that are drawn for this part alone: the numbers that it would get of a draw for the whole batch."""
    return PartOfBatch(generator, part_slice(*_micro))
