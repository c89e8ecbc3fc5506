"""Random numbers, drawn on the CPU and moved to where they are needed.

The devices' own generators differ in their streams and in the size of their state: a training could not go on elsewhere,
and the same seed would mean other noise on every kind of machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Device = torch.device | str


@dataclass(frozen=True)
class PartOfBatch:
    """A stream of numbers for whole batches, of which the rows at `rows`, a slice with a step, are taken."""

    generator: torch.Generator
    rows: slice


Stream = torch.Generator | PartOfBatch


def generator_of(seed: int) -> torch.Generator:
    """A generator, always on the CPU."""
    return torch.Generator().manual_seed(seed)


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator that goes on from a generator's state, and moves it on."""
    return np.random.default_rng(integer(2**62, generator))


def normal(shape: Sequence[int], stream: Stream, device: Device) -> Tensor:
    """Standard normal numbers, fp32."""
    return _drawn(lambda size, generator: torch.randn(size, generator=generator), shape, stream, device)


def uniform(shape: Sequence[int], stream: Stream, device: Device) -> Tensor:
    """Numbers in [0, 1), fp32."""
    return _drawn(lambda size, generator: torch.rand(size, generator=generator), shape, stream, device)


def exponential(shape: Sequence[int], stream: Stream, device: Device) -> Tensor:
    """Numbers of the standard exponential distribution, fp32."""
    return _drawn(lambda size, generator: torch.empty(size).exponential_(generator=generator), shape, stream, device)


def integers(high: int, shape: Sequence[int], stream: Stream, device: Device) -> Tensor:
    """Numbers from 0 to high - 1, int64."""
    return _drawn(lambda size, generator: torch.randint(high, size, generator=generator), shape, stream, device)


def integer(high: int, stream: Stream) -> int:
    """One number from 0 to high - 1, the same for all parts of a batch."""
    return int(torch.randint(high, (), generator=stream.generator if isinstance(stream, PartOfBatch) else stream))


def weighted(weights: Sequence[float], count: int, stream: Stream) -> Tensor:
    """`count` positions in `weights`, each as likely as its share, int64 on the CPU."""

    def draw(size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.multinomial(torch.tensor(weights), size[0], replacement=True, generator=generator)

    return _drawn(draw, (count,), stream, "cpu")


def order(count: int, generator: torch.Generator) -> Tensor:
    """The numbers 0..count - 1 in a random order, int64 on the CPU."""
    return torch.randperm(count, generator=generator)


def _drawn(
    draw: Callable[[tuple[int, ...], torch.Generator], Tensor], shape: Sequence[int], stream: Stream, device: Device
) -> Tensor:
    if not isinstance(stream, PartOfBatch):
        return moved(draw(tuple(shape), stream), device)
    whole = draw((shape[0] * stream.rows.step, *shape[1:]), stream.generator)
    return moved(whole[stream.rows], device)


def moved(tensor: Tensor, device: Device) -> Tensor:
    """A tensor on a device, on its way to which nobody waits for what the device still has to do."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
