"""Forward passes and training steps of the backbone, beside their arithmetic: the table of `benchmarks.gpu`."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any, Literal

import torch
from diffusers import WanTransformer3DModel

from interdiff.learning import draws
from interdiff.learning.costs import counted_flops, median_milliseconds, peak_memory_mb
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.training import Objective, train
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import set_attention
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.backbone.losses import FlowBatch, flow_matching_loss
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import tuned
from interdiff.video.backbone.wan import WAN_1_3B, WanDenoiser

RATE = 700e12
"""Arithmetic per second that an H100 sustains in bf16 at best."""


@dataclass(frozen=True)
class Size:
    """A backbone and what it is asked: clips of T x H x W latents, and prompts of L rows of D numbers."""

    network: dict[str, Any]
    frames: int
    height: int
    width: int
    rows: int
    text: int
    counts: tuple[int, ...]


REAL = Size(WAN_1_3B, 21, 60, 104, 512, 4096, (4, 6, 8, 21))
TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
    "text_dim": 8,
    "freq_dim": 16,
}
TOY = Size(TINY, 5, 4, 4, 3, 8, (2, 5))


def sparse(keep: float | None) -> AttentionSettings:
    """Attention to so large a share of the blocks, or dense."""
    return AttentionSettings(kind="sla", keep=keep) if keep else AttentionSettings()


def backbone(size: Size, device: torch.device, keep: float | None = None) -> WanDenoiser:
    """Random weights, in the types that `load_wan` gives them."""
    with device:
        transformer = WanTransformer3DModel(**size.network)
    for name, parameter in transformer.named_parameters():
        if not any(part in name for part in transformer._keep_in_fp32_modules):
            parameter.data = parameter.data.bfloat16()
    set_attention(transformer, sparse(keep))
    return WanDenoiser(transformer, preconditioned=False).eval()


def batch(size: Size, count: int, clips: int, device: torch.device) -> FlowBatch:
    """Evenly spaced frames of clips that are noise."""
    generator = draws.generator_of(1)
    shape = (clips, 16, count, size.height, size.width)
    z, noise = (draws.normal(shape, generator, device) for _ in range(2))
    embed = draws.normal((clips, size.rows, size.text), generator, device)
    frames = torch.linspace(0, size.frames - 1, count, device=device).round().long().expand(clips, -1)
    return FlowBatch(z, noise, torch.full((clips, 1), 0.5, device=device), embed, frames)


def arithmetic(size: Size, count: int, clips: int, keep: float | None = None) -> float:
    """Milliseconds of a pass at `RATE`, counted from shapes."""
    meta = torch.device("meta")
    with meta:
        network = WanDenoiser(WanTransformer3DModel(**size.network), preconditioned=False)
        set_attention(network.transformer, sparse(keep))
    shape = (clips, 16, count, size.height, size.width)
    texts, levels = torch.empty(clips, size.rows, size.text, device=meta), torch.empty(clips, 1, device=meta)
    frames = torch.zeros(clips, count, dtype=torch.long, device=meta)
    return 1000 * counted_flops(partial(network, torch.empty(shape, device=meta), levels, texts, frames)) / RATE


def passes(row: dict[str, Any]) -> int:
    """Passes' worth of arithmetic: backwards once for what moves on and once for what learns; one more with checkpoints."""
    return {"forward": 1, "lora": 2, "full": 3}[row["what"]] + int(row.get("checkpointing", False))


def forward(
    size: Size, device: torch.device, count: int, clips: int, compiled: bool, keep: float | None = None
) -> dict[str, float]:
    """Milliseconds of a pass as samplers make it, and the peak of memory."""
    network = for_sampling(backbone(size, device, keep), "blocks" if compiled else "no")
    given = batch(size, count, clips, device)
    with torch.no_grad():
        ms = median_milliseconds(lambda _: network(given.noise, given.sigma, given.embed, given.frames), 7, 2, 4.0)
    return {"ms": ms, "peak_gib": peak_memory_mb() / 1024}


class Unsaved:
    """The state of a training that is measured."""

    stop_requested = False

    def load(self) -> None:
        """Nothing to go on from."""

    def save(self, tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        """Nothing."""


def step(
    size: Size,
    device: torch.device,
    count: int,
    clips: int,
    kind: Literal["lora", "full"],
    checkpointing: bool,
    compiled: bool,
    keep: float | None = None,
) -> dict[str, float]:
    """Milliseconds of a step of `train`, and the peak of memory."""
    tuning = TuningSettings(kind=kind, rank=8, gradient_checkpointing=checkpointing, attention=sparse(keep))
    settings = BlockwiseTrainingSettings(
        steps=4,
        batch_size=clips,
        log_every=1,
        save_every=100,
        mixed_precision="bf16",
        compile="blocks" if compiled else "no",
    )
    rows: list[dict[str, float]] = []
    given = batch(size, count, clips, device)
    objective = Objective(lambda generator, done: given, flow_matching_loss)
    train(tuned(backbone(size, device), tuning), objective, settings, Unsaved(), device, rows.append, iter)
    return {
        "ms": 1000 * median(1 / row["steps_per_s"] for row in rows[2:]),
        "peak_gib": rows[-1]["peak_memory_mb"] / 1024,
    }


Row = tuple[dict[str, Any], Callable[[torch.device], dict[str, float]]]
"""What a row of the table is of, and how it is measured."""


def measurements(size: Size) -> Iterator[Row]:
    """The table's rows, what matters most first."""
    few, every = size.counts[0], size.counts[-1]
    longer = replace(size, frames=2 * size.frames - 1)
    for count in (every, few):
        yield from (_forward(size, count, compiled=compiled) for compiled in (False, True))
    # Dense and sparse attention at the same sizes.
    for of, count in ((size, every), (longer, longer.frames), (size, size.counts[-2])):
        for keep in (None, 0.1, 0.15):
            if keep or (of, count) != (size, every):
                yield _forward(of, count, compiled=True, keep=keep)
            yield _step(of, "full", count, compiled=True, keep=keep)
    yield from (_step(size, kind, count) for kind in ("lora", "full") for count in (few, every))
    yield from (_step(size, "lora", count, compiled=True) for count in (few, every))
    yield _step(size, "lora", few, checkpointing=False)
    yield from (_step(size, kind, few, clips=2) for kind in ("lora", "full"))
    yield from (_forward(size, count) for count in size.counts[1:-1])
    yield from (_forward(size, count, clips=2) for count in size.counts)
    yield from (_step(size, "lora", count) for count in size.counts[1:-1])
    yield from (_step(size, kind, every, clips=2) for kind in ("lora", "full"))


def _named(what: str, count: int, clips: int, compiled: bool, keep: float | None) -> dict[str, Any]:
    dense = {"what": what, "k": count, "clips": clips, "compiled": compiled}
    return dense | {"keep": keep} if keep else dense


def _forward(size: Size, count: int, clips: int = 1, compiled: bool = False, keep: float | None = None) -> Row:
    measure = partial(forward, size, count=count, clips=clips, compiled=compiled, keep=keep)
    return _named("forward", count, clips, compiled, keep), measure


def _step(
    size: Size,
    kind: Literal["lora", "full"],
    count: int,
    clips: int = 1,
    compiled: bool = False,
    checkpointing: bool = True,
    keep: float | None = None,
) -> Row:
    how: dict[str, Any] = {"checkpointing": checkpointing, "compiled": compiled, "keep": keep}
    row = _named(kind, count, clips, compiled, keep) | {"checkpointing": checkpointing}
    return row, partial(step, size, count=count, clips=clips, kind=kind, **how)


def table(size: Size, device: torch.device, until: float) -> Iterator[dict[str, Any]]:
    """Forward passes and training steps, one row each, with their arithmetic at `RATE`; those that time is left for."""
    for row, measure in measurements(size):
        if time.monotonic() > until:
            yield row | {"left_out": "no time left"}
            continue
        gc.collect()
        torch._dynamo.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            figures = measure(device)
        except RuntimeError as error:  # out of memory, or what cannot be compiled: the other rows stand
            yield row | {"error": str(error)}
            continue
        yield (
            row
            | figures
            | {
                "over_arithmetic": figures["ms"]
                / arithmetic(size, row["k"], row["clips"], row.get("keep"))
                / passes(row)
            }
        )
