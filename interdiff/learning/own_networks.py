"""Networks of one's own: a class that the configuration names, in the place of one of ours."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.own_code import imported_class


class OwnNetwork(nn.Module):
    """A network of one's own, held to its protocol (docs/networks.md).

    Its `forward` takes a tensor, what else the phase's protocol names, and last the condition; it gives a tensor of the first
    one's shape. What it makes of a condition alone, its `encode` may do once for several passes.

    Args:
        phase: the part of the configuration that names it, such as `refiner`: errors begin with its key.
        settings: `class`, its import path, and arguments of its own.
        inputs: how many arguments `forward` takes.
        given: arguments that it gets beside its own.

    Raises:
        InputError: there is no such class, it is no network, or it does not take these arguments.
    """

    def __init__(self, phase: str, settings: Mapping[str, Any], inputs: int, **given: Any) -> None:
        super().__init__()
        own = dict(settings)
        path = own.pop("class")
        self.label = f"{phase}.network.class: {path}"
        try:
            kind = imported_class(path)
        except InputError as error:
            raise InputError(f"{phase}.network.class: {error}") from error
        # Before it is called: any other class might do anything with its arguments.
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise InputError(f"{self.label} is not a subclass of torch.nn.Module")
        if kind.forward is nn.Module.forward:
            raise InputError(f"{self.label} has no method forward")
        self.encodes = hasattr(kind, "encode")
        passed = [None] * (1 + inputs)
        try:
            inspect.signature(kind.forward).bind(*passed, **({"encoded": None} if self.encodes else {}))
            inspect.signature(kind).bind(**given, **own)
        except TypeError as error:
            raise InputError(f"{self.label} does not take what it is given ({error})") from error
        self.network: nn.Module = kind(**given, **own)

    @property
    def backbone(self) -> nn.Module:
        """What may start from another network's weights."""
        return getattr(self.network, "backbone", self.network)

    def encode(self, condition: Any) -> Any:
        """What its `encode` makes of a condition; None without one."""
        return self.network.encode(condition) if self.encodes else None  # type: ignore[operator]

    def forward(self, x: Tensor, *rest: Any, encoded: Any = None) -> Tensor:
        """Its output, of x's shape; InputError where it has another. encoded: `self.encode` of the condition, rest's last."""
        extra = {}
        if self.encodes:
            extra["encoded"] = self.encode(rest[-1]) if encoded is None else encoded
        result = self.network(x, *rest, **extra)
        if not (isinstance(result, Tensor) and result.shape == x.shape):
            found = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise InputError(f"{self.label} gave {found}; expected a tensor {tuple(x.shape)}")
        return result
