"""What a call costs: floating point operations, tokens, wall time and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from interdiff.learning.networks import Transformer
from interdiff.learning.parallel import without_weights


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


FUSED_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_fused_attention_overrideable: _attention_flops,
}
"""Kernels whose formula torch's counter does not know; it knows those of CUDA."""
COUNTED: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], int]] = WeakKeyDictionary()


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
    """Floating point operations of the products, convolutions and attention in a call."""
    with FlopCounterMode(display=False, custom_mapping=FUSED_ATTENTION) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


def forward_flops(network: nn.Module, *inputs: Tensor) -> int:
    """Of a network's answer to inputs, from their shapes alone: counted on the meta device, once for each set of shapes."""
    shapes = tuple((given.shape, given.dtype) for given in inputs)
    counted = COUNTED.setdefault(network, {})
    if shapes not in counted:
        # A copy is not compiled: what compiled code does is not seen by the counter.
        copied = without_weights(network).to("meta")
        counted[shapes] = counted_flops(lambda: copied(*(given.to("meta") for given in inputs)))
    return counted[shapes]


def now() -> float:
    """Seconds on a clock, once the GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def median_milliseconds(
    run: Callable[[int], object], repeats: int = 20, warm_up: int = 2, most_seconds: float = 5.0, fewest: int = 3
) -> float:
    """The median wall time of `run(n)` over n = 0..repeats - 1, after calls with n = 0 to warm up.

    Of slow calls there are fewer: no more, but for the `fewest`, than fit into `most_seconds`.
    """
    for _ in range(warm_up):
        run(0)
    times: list[float] = []
    while len(times) < repeats and (len(times) < fewest or sum(times) < most_seconds):
        started = now()
        run(len(times))
        times.append(now() - started)
    return 1000 * median(times)


def peak_memory_mb() -> float:
    """Peak memory of the GPU in use, else of this process, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
