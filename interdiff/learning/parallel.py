"""Several processes, and compiled blocks, around any network and its loss.

A network's blocks are the members of its module lists named `blocks`: what is compiled, and sharded, as one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from interdiff.learning import draws
from interdiff.learning.processes import micro_batch, processes

Network = TypeVar("Network", bound=nn.Module)
VALIDATION_BATCHES = 4
"""On which the loss is computed whenever it is logged."""
VALIDATION_SEED = 0


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The repeated parts of a network."""
    for name, module in network.named_modules():
        if name.rpartition(".")[2] == "blocks" and isinstance(module, nn.ModuleList):
            yield from module


def called(model: nn.Module) -> list[nn.Module]:
    """The networks that a loss asks for answers: the model, or the parts of one that has no forward pass of its own."""
    return [model] if type(model).forward is not nn.Module.forward else list(model.children())


def compile_network(network: nn.Module, what: Literal["no", "blocks", "whole"]) -> None:
    """Compile a network in place: each block, which takes seconds since all are alike, or all of it."""
    for module in {"no": [], "blocks": list(blocks(network)), "whole": [network]}[what]:
        module.compile()


def uncompiled(network: nn.Module) -> nn.Module:
    """The network without what `compile_network` added."""
    for module in network.modules():
        module._compiled_call_impl = None
    return network


@runtime_checkable
class Sharded(Protocol):
    """A tensor of which this process holds a part (`torch.distributed.tensor.DTensor`)."""

    device_mesh: Any
    placements: Any

    def full_tensor(self) -> Tensor: ...


class Parallel(nn.Module):
    """A network and its loss as one module: whatever of the network a loss calls is part of one forward pass.

    Of several processes each holds the whole network, and gradients are averaged while the backward pass goes on (DDP, Li
    et al. 2020); or each holds a part of every block's weights (`fsdp`; Zhao et al. 2023b).
    """

    def __init__(self, network: nn.Module, loss: Callable[[Any, Any], dict[str, Tensor]], fsdp: bool) -> None:
        super().__init__()
        both: nn.Module = _Loss(network, loss)
        self.sharded: list[Any] = []
        self.replicated: Any = None
        if fsdp and processes() > 1:
            self.sharded = _shard([*blocks(network), *called(network)])
        elif processes() > 1:
            from torch.nn.parallel import DistributedDataParallel

            # Which parameters take part may depend on the batch; all processes start with the same ones.
            both = self.replicated = DistributedDataParallel(both, find_unused_parameters=True, init_sync=False)
        self.both = both

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """The loss's scalars."""
        return self.both(batch)

    def last_pass(self, last: bool) -> AbstractContextManager[None]:
        """Whether gradients are averaged over the processes in this backward pass, or kept for the next one to add to."""
        for module in self.sharded:
            module.set_requires_gradient_sync(last, recurse=False)
        return nullcontext() if last or self.replicated is None else self.replicated.no_sync()


@torch.no_grad()
def held_out_scalars(
    network_and_loss: Parallel, draw: Callable[[torch.Generator, float], Any], done: float, micro_batches: int
) -> dict[str, Tensor]:
    """Means of the loss's scalars, as in training but of a network in evaluation, for which nothing else changes.

    draw: batches from a stream, here the same ones each time; done: the share of steps done.
    """
    training = [module for module in network_and_loss.modules() if module.training]
    network_and_loss.eval()
    generator, scalars = draws.generator_of(VALIDATION_SEED), []
    for _ in range(VALIDATION_BATCHES):
        before = generator.get_state()
        for number in range(micro_batches):
            generator.set_state(before)
            with micro_batch(number, micro_batches):
                scalars.append(network_and_loss(draw(generator, done)))
    for module in training:
        module.training = True
    return {name: torch.stack([values[name] for values in scalars]).mean(0) for name in scalars[0]}


def _shard(modules: list[nn.Module]) -> list[Any]:
    # Here since this import takes seconds, which every other training can do without.
    from torch.distributed.fsdp import fully_shard

    return [fully_shard(module) for module in modules]


class _Loss(nn.Module):
    def __init__(self, network: nn.Module, loss: Callable[[Any, Any], dict[str, Tensor]]) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return self.loss(self.network, batch)


def whole(tree: Any) -> Any:
    """A tree of dicts, lists and tensors, in which sharded tensors are whole, on the first process's CPU; all must ask."""
    if isinstance(tree, Sharded):
        tensor = tree.full_tensor().detach()
        return tensor.new_empty(0) if torch.distributed.get_rank() else tensor.cpu()
    if isinstance(tree, Mapping):
        return {key: whole(value) for key, value in tree.items()}
    return [whole(value) for value in tree] if isinstance(tree, list) else tree


def without_weights(network: Network) -> Network:
    """A copy that has its parameters' shapes alone (on the meta device), and buffers of its own."""
    shapes = {
        id(parameter): nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
        for parameter in network.parameters()
    }
    return copy.deepcopy(network, shapes)


def with_weights(copied: Network, sharded: Mapping[str, Tensor], device: torch.device) -> Network:
    """What `without_weights` left of a network, with weights by name; all processes must ask, the first gets them."""
    weights = whole(sharded)
    if torch.distributed.get_rank():
        return copied
    copied.load_state_dict(weights, strict=False, assign=True)
    return copied.to(device)


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor where another is, and sharded as it is."""
    tensor = tensor.to(other.device)
    if not isinstance(other, Sharded):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """`optimizer.load_state_dict` of whole tensors, sharded as its parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: like(value, parameters[number]) if value.shape == parameters[number].shape else value
            for name, value in values.items()
        }
        for number, values in saved["state"].items()
    }
    optimizer.load_state_dict({**saved, "state": state})
