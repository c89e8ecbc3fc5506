"""Clips for training and measuring: seeded batches read ahead of their use, and the masks to fill.

B clips, T frames, R masks, L rows of text, D features of each.
"""

from __future__ import annotations

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.keyframes.nested_masks import index_mask
from interdiff.learning import draws
from interdiff.learning.processes import part_slice
from interdiff.learning.settings import TrainingSettings
from interdiff.video.codec.codec import Codec
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.settings import ClipsSettings
from interdiff.video.data.shard_dataset import ShardDataset, seeded_batches

if TYPE_CHECKING:  # shards need no text encoder
    from interdiff.video.data.text import TextEncoder

CHOSEN = ("row", "frames")
"""Columns that stay on the CPU: they choose what is taken of others, and nobody has to wait for them."""


class TrainingBatches(ABC):
    """Parts of seeded batches, step by step from whatever step training goes on at; the next one is read meanwhile.

    Each process reads its own part of a batch, one micro-batch after the other; on its way to a GPU it is in pinned memory.
    """

    def __init__(self, settings: TrainingSettings, device: torch.device) -> None:
        self._settings, self._device = settings, device
        self._batches: Iterator[dict[str, Tensor]] | None = None

    def batch(self, done: float) -> dict[str, Tensor]:
        """The next part by column, from the batch at a share of the steps done on, and its numbers [B] as `row`.

        What chooses, `row` and anchors' `frames`, is on the CPU.
        """
        if self._batches is None:
            self._batches = self._from(round(done * self._settings.steps))
        return next(self._batches)

    @abstractmethod
    def _numbers(self, first: int) -> Iterator[np.ndarray]:
        """Endless batches of numbers, from batch `first` on."""

    @abstractmethod
    def _read(self, numbers: Tensor) -> dict[str, Tensor]:
        """The columns of some numbers."""

    def _from(self, first: int) -> Iterator[dict[str, Tensor]]:
        accumulate = self._settings.accumulate
        own = (
            torch.as_tensor(batch)[part_slice(micro, accumulate)]
            for batch in self._numbers(first)
            for micro in range(accumulate)
        )
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._pinned, next(own))
            while True:
                batch = ahead.result()
                ahead = reader.submit(self._pinned, next(own))
                yield {
                    name: value if name in CHOSEN else value.to(self._device, non_blocking=True)
                    for name, value in batch.items()
                }

    def _pinned(self, numbers: Tensor) -> dict[str, Tensor]:
        values = {"row": numbers} | self._read(numbers)
        return {name: value.pin_memory() for name, value in values.items()} if self._device.type == "cuda" else values


class TrainingClips(TrainingBatches):
    """Batches of clips of shards, each clip once per epoch; those of a batch have one size and length.

    Args:
        data: samples, and beside them those of other shards, joined by key; each with the columns that it reads.
    """

    def __init__(self, data: Sequence[ShardDataset], settings: TrainingSettings, device: torch.device) -> None:
        super().__init__(settings, device)
        self._data = data

    def _numbers(self, first: int) -> Iterator[np.ndarray]:
        clips = self._data[0]
        shapes = [clips.shapes(column) for column in clips.columns if column != "embed"]
        sizes = np.hstack(shapes or [np.zeros((len(clips), 1), int)])
        return seeded_batches(sizes, self._settings.batch_size, self._settings.seed, first)

    def _read(self, numbers: Tensor) -> dict[str, Tensor]:
        keys = [self._data[0].keys[row] for row in numbers.tolist()]
        values: dict[str, Tensor] = {}
        for data in self._data:
            places = [data.number(key) for key in keys]
            values |= {column: data.batch(column, places) for column in data.columns}
        return values


class RenderedClips(TrainingBatches):
    """Batches of scenes that are rendered and encoded as they are needed: a new one for every sample.

    Args:
        encoder: of prompts; without one there is no column `embed`.
        lengths: numbers of frames that batches have in turn; none: that of `clips`.
    """

    def __init__(
        self,
        clips: ClipsSettings,
        codec: Codec,
        encoder: TextEncoder | None,
        settings: TrainingSettings,
        device: torch.device,
        lengths: Sequence[int] = (),
    ) -> None:
        super().__init__(settings, device)
        self._clips, self._codec, self._encoder, self._lengths = clips, codec, encoder, lengths or (clips.frames,)

    def _numbers(self, first: int) -> Iterator[np.ndarray]:
        size = self._settings.batch_size
        return (np.arange(size * step, size * (step + 1)) for step in itertools.count(first))

    @torch.no_grad()
    def _read(self, numbers: Tensor) -> dict[str, Tensor]:
        clips, split = self._clips, f"training {self._settings.seed}"
        scenes = [split_scene(clips.seed, split, number) for number in numbers.tolist()]
        frames = self._lengths[int(numbers[0]) // self._settings.batch_size % len(self._lengths)]
        videos = torch.from_numpy(np.stack([render(scene, frames, clips.side) for scene in scenes]))
        values = {"latent": self._codec.encode(videos)}
        if self._encoder is not None:
            values["embed"] = self._encoder([scene.prompt for scene in scenes])
        # In bf16, as shards have them.
        return {column: value.bfloat16() for column, value in values.items()}


def load_negative(path: Path, device: torch.device, prompts: ShardDataset) -> Tensor:
    """The negative prompt's embedding [L, D]; InputError where it is not as wide as those of prompts."""
    negative = torch.from_numpy(load_arrays(path, ("embed",))["embed"])
    widths = prompts.shapes("embed")[:, 1]
    if (other := np.flatnonzero(widths != negative.shape[1])).size:
        raise InputError(
            f"{path}: the negative prompt's embedding is {negative.shape[1]} wide, that of key"
            f" {prompts.keys[other[0]]!r} is {widths[other[0]]}; expected those of one text encoder"
        )
    return negative.to(device)


def clip_noise(key: str, shape: Sequence[int], seed: int) -> Tensor:
    """The noise that a clip is made of, bf16 of a shape, by key and seed; the same on every device."""
    return draws.normal(shape, draws.generator_of(_key_seed(key, seed)), "cpu").bfloat16()


def clip_masks(key: str, frames: int, counts: Sequence[int], seed: int) -> np.ndarray:
    """Masks [R, T] of a clip, one with each of R numbers of frames: both ends and others at random, by key and seed."""
    rng = np.random.default_rng(_key_seed(key, seed))
    rows = [np.sort(1 + rng.choice(frames - 2, size=k - 2, replace=False)) for k in counts]
    return np.concatenate([index_mask(np.array([[0, *row, frames - 1]]), frames) for row in rows])


def _key_seed(key: str, seed: int) -> int:
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
