"""Training in several processes: a process's share of the batch that all of them draw alike, or draws of its own."""

from __future__ import annotations

import torch
from torch import Tensor


def processes() -> int:
    """The number of processes that train together now: 1 outside of training."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def share(*batch: Tensor) -> tuple[Tensor, ...]:
    """This process's rows of tensors [B, ...] that hold the whole batch: every n-th, from its own number on.

    All processes draw the whole batch from the same generator, which costs little beside the network, so that they
    stay in step and their mean loss is that of one process.
    """
    count = processes()
    return batch if count == 1 else tuple(tensor[torch.distributed.get_rank() :: count] for tensor in batch)


def own_draws(generator: torch.Generator) -> torch.Generator:
    """For what is drawn for a share of the batch alone: of several processes each gets its own from their common generator.

    They stay in step, and no two draw the same noise; other numbers of processes draw other noise.
    """
    count = processes()
    if count == 1:
        return generator
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
    return torch.Generator(generator.device).manual_seed(int(seeds[torch.distributed.get_rank()]))
