"""Mixed precision: where bf16 pays off, and what stays in fp32: coordinates, grids, noise levels, costs.

bf16 has eight significant bits. A CPU without instructions for it takes ten times as long as in fp32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Of CPUs, by PyTorch's names."""


def fast_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in BF16_INSTRUCTIONS)


def mixed_precision(setting: str, device: torch.device) -> str:
    """Accelerate's name of a setting `no`, `bf16` or `auto`: bf16 where the device is fast at it, else no."""
    if setting != "auto":
        return setting
    fast = fast_bf16(device)
    log.info("bf16 on this device: %s", "yes" if fast else "no, it has no instructions for it")
    return "bf16" if fast else "no"


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Arithmetic in the types of the operands, whatever the autocast around it."""
    known = torch.amp.is_autocast_available(device.type)  # the meta device has none
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def full_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function of tensors that computes in fp32 whatever the autocast around it; lower-precision arguments become fp32."""

    @wraps(function)
    def computed(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        device = next(_tensors([*args, *kwargs.values()])).device
        with without_autocast(device):
            return function(*map(_full, args), **{name: _full(value) for name, value in kwargs.items()})

    return computed


def _tensors(values: list[Any]) -> Iterator[Tensor]:
    """The tensors among arguments, and among the attributes of those that hold some."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif hasattr(value, "__dict__"):
            yield from (own for own in vars(value).values() if isinstance(own, Tensor))


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value
