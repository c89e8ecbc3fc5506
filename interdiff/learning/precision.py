"""What stays in fp32 under mixed precision: coordinates, grids, noise levels, costs. bf16 has eight significant bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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
