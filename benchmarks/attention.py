"""Kernels of attention among the tokens of one layer, dense and sparse: the part `attention` of `benchmarks.gpu`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.learning import draws
from interdiff.learning.costs import median_milliseconds
from interdiff.video.attention.blocks import block_scores, chosen_blocks
from interdiff.video.attention.kernels import SAGE, flexible, gathered, sage
from interdiff.video.attention.linear_branch import to_all, to_complement
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import SparseLinear, reused_choices

KEPT = (0.1, 0.15)
BLOCK = 64
Parts = tuple[Tensor, Tensor, Tensor]
REUSED = (1, 2, 4)
"""Of so many passes as the last of these, each choice of blocks serves so many."""
CHECKED = 4096
"""Tokens at which gradients are compared: gathered keys of all tokens do not fit in memory."""


def tokens(length: int, heads: int, size: int, device: torch.device) -> Parts:
    """Queries, keys and values [1, heads, length, size] that are noise, in bf16."""
    generator = draws.generator_of(2)

    def part() -> Tensor:
        return draws.normal((1, heads, length, size), generator, device).bfloat16().requires_grad_()

    return part(), part(), part()


def choice(parts: Parts, keep: float) -> Tensor:
    """The blocks that each block of queries attends to."""
    return chosen_blocks(block_scores(*parts[:2], BLOCK), keep)


def timed(run: Callable[[], Tensor], parts: Parts, backward: bool = True) -> dict[str, float]:
    """Milliseconds of a call, and of it with its gradients."""

    def both(_: int) -> None:
        torch.autograd.grad(run().float().square().mean(), parts)

    with torch.no_grad():
        figures = {"forward_ms": median_milliseconds(lambda _: run(), 7, 2, 2.0)}
    return figures | ({"both_ms": median_milliseconds(both, 5, 2, 2.0)} if backward else {})


def passes(layer: SparseLinear, parts: Parts, reuse: int) -> Tensor:
    """What the last of some passes of a layer gives, each choice of blocks serving some of them."""
    with reused_choices([layer], reuse):
        return [layer.attend(*parts) for _ in range(REUSED[-1])][-1]


def gradient_error(heads: int, size: int, keep: float, device: torch.device) -> float:
    """Largest relative error of gradients by the device's kernel in bf16, beside gathered blocks in fp32."""
    parts = tokens(CHECKED, heads, size, device)
    index = choice(parts, keep)
    kernel = flexible if device.type == "cuda" else gathered
    query, key, value = (part.detach().float().requires_grad_() for part in parts)
    exact = query, key, value
    ours = torch.autograd.grad(kernel(*parts, index, BLOCK).float().square().mean(), parts)
    theirs = torch.autograd.grad(gathered(*exact, index, BLOCK).square().mean(), exact)
    return max(float((a.float() - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))


def rows(length: int, heads: int, size: int, device: torch.device, until: float) -> Iterator[dict[str, Any]]:
    """Dense attention; for each share that is kept the choice of blocks, exact attention to them and both linear branches."""
    parts = tokens(length, heads, size, device)
    kernel = flexible if device.type == "cuda" else gathered
    yield {"what": "dense", "tokens": length} | timed(lambda: F.scaled_dot_product_attention(*parts), parts)
    for keep in KEPT:
        if time.monotonic() > until:
            yield {"what": "sparse", "tokens": length, "keep": keep, "left_out": "no time left"}
            continue
        index = choice(parts, keep)
        ways: dict[str, tuple[Callable[[], Tensor], bool]] = {
            "choice": (partial(choice, parts, keep), False),
            "chosen": (partial(kernel, *parts, index, BLOCK), True),
            "linear, all": (partial(to_all, *parts, "softmax"), True),
            "linear, rest": (partial(to_complement, *parts, index, BLOCK, "softmax"), True),
        }
        if find_spec(SAGE) is not None:
            ways["chosen by " + SAGE] = (partial(sage, *parts, index, BLOCK), False)
        layer = SparseLinear(size, AttentionSettings(kind="sla", keep=keep, block=BLOCK)).to(device).eval()
        for reuse in REUSED:
            ways[f"{REUSED[-1]} passes, choice for {reuse}"] = (partial(passes, layer, parts, reuse), False)
        for what, (run, backward) in ways.items():
            yield {"what": what, "tokens": length, "keep": keep} | timed(run, parts, backward)
        yield {"what": "gradients", "keep": keep, "relative_error": gradient_error(heads, size, keep, device)}
