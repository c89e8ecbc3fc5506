"""A network as it samples: the same numbers, up to rounding, in less time."""

from __future__ import annotations

from typing import Literal, TypeVar

from diffusers.models.transformers.transformer_wan import WanAttention
from torch import nn

from interdiff.learning.parallel import compile_network
from interdiff.video.attention.sparse_linear import SparseLinear

Network = TypeVar("Network", bound=nn.Module)


def for_sampling(network: Network, compiled: Literal["no", "blocks"], sage: bool = False) -> Network:
    """Change a network in place, once its weights are what they will be; it cannot learn any more.

    sage: sparse attention by the int8 kernels of spas_sage_attn.

    On a GPU queries, keys and values become one product, whose weights take a quarter of a block's more memory. On a CPU
    that would change the last digits for nothing.
    """
    for module in network.modules():
        if isinstance(module, WanAttention) and module.to_q.weight.is_cuda:
            module.fuse_projections()
        if isinstance(module, SparseLinear):
            module.sage = sage
    compile_network(network, compiled)
    return network.requires_grad_(False).eval()
