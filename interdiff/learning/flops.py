"""Arithmetic of one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode

from interdiff.learning.networks import Transformer


def counted_tokens(run: Callable[[], object]) -> int:
    """Tokens, of all sequences of a batch, that pass through transformers in a call, once for each pass."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, Transformer):
            counts.append(inputs[0].shape[0] * inputs[0].shape[1])

    with register_module_forward_pre_hook(count), torch.no_grad():
        run()
    return sum(counts)


def counted_flops(run: Callable[[], object]) -> int:
    """Floating point operations of the products and convolutions in a call."""
    # The fused attention kernels are not counted: the plain one does the same products.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        run()
    return counter.get_total_flops()
