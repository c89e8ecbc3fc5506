"""Exact attention to chosen blocks, computed three ways that agree: gathered, by FlexAttention, and by spas_sage_attn.

B clips, H heads, L tokens in N blocks of up to b, D features, J chosen blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.errors import InputError
from interdiff.video.attention.blocks import block_map, blocked

SAGE = "spas_sage_attn"
SAGE_BLOCKS = (128, 64)
"""Queries and keys of a block in its kernels."""


def gathered(
    query_bhld: Tensor,
    key_bhld: Tensor,
    value_bhld: Tensor,
    index_bhnj: Tensor,
    block: int,
    bias_bhnj: Tensor | None = None,
) -> Tensor:
    """On any device, in fp32, in any mode of differentiation: each block of queries attends to a copy of its chosen keys.

    bias: of the scores of each chosen block, by which a router learns.

    Returns:
        [B, H, L, D].
    """
    length, size = query_bhld.shape[2:]
    query, key, value = (blocked(x.float(), block) for x in (query_bhld, key_bhld, value_bhld))
    batch = torch.arange(len(key), device=key.device)[:, None, None, None]
    heads = torch.arange(key.shape[1], device=key.device)[:, None, None]
    key, value = (x[batch, heads, index_bhnj].flatten(3, 4) for x in (key, value))
    scores = query @ key.mT / math.sqrt(size)
    if bias_bhnj is not None:
        scores = scores + bias_bhnj.repeat_interleave(block, 3)[:, :, :, None]
    # Of the last block, the tokens that are there.
    places = index_bhnj[..., None] * block + torch.arange(block, device=key.device)
    scores = scores.masked_fill((places.flatten(3) >= length)[:, :, :, None], -torch.inf)
    return (scores.softmax(-1) @ value).flatten(2, 3)[:, :, :length].type_as(value_bhld)


def flexible(query_bhld: Tensor, key_bhld: Tensor, value_bhld: Tensor, index_bhnj: Tensor, block: int) -> Tensor:
    """By torch's FlexAttention, compiled on a GPU; on a CPU it has no backward pass."""
    from torch.nn.attention.flex_attention import BlockMask

    length, blocks = query_bhld.shape[2], index_bhnj.shape[2]
    padded = [F.pad(x, (0, 0, 0, blocks * block - length)) for x in (query_bhld, key_bhld, value_bhld)]
    chosen = block_map(index_bhnj, blocks)

    def seen(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return chosen[b, h, q // block, k // block] & (k < length)

    # The kernel reads the first J of N; those beyond are never looked at. Its eager form looks at `mask_mod` alone.
    order = F.pad(index_bhnj, (0, blocks - index_bhnj.shape[-1])).int()
    counts = torch.full(index_bhnj.shape[:-1], index_bhnj.shape[-1], dtype=torch.int32, device=order.device)
    mask = BlockMask.from_kv_blocks(
        counts, order, None, None, BLOCK_SIZE=(block, block), mask_mod=seen, seq_lengths=(blocks * block,) * 2
    )
    mixed: Tensor = _flex_attention(query_bhld.is_cuda)(*padded, block_mask=mask, kernel_options=_options(block))
    return mixed[:, :, :length]


def _options(block: int) -> dict[str, int] | None:
    """The kernels' own blocks, by default of 128 queries, must divide ours."""
    return {"BLOCK_M": block, "BLOCK_N": block} if block < 128 else None


@cache
def _flex_attention(compiled: bool) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    attention: Callable[..., Any] = flex_attention
    return torch.compile(attention, dynamic=False) if compiled else attention


def sage(query_bhld: Tensor, key_bhld: Tensor, value_bhld: Tensor, index_bhnj: Tensor, block: int) -> Tensor:
    """By spas_sage_attn's int8 kernels, which have no backward pass: what two blocks of 64 queries chose counts for both.

    Raises:
        InputError: the package is not installed, gradients are asked for, or blocks or sequences do not suit it.
    """
    if find_spec(SAGE) is None:
        raise InputError(f"sampling.sage: the package {SAGE} is not installed; expected it, or false")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query_bhld, key_bhld, value_bhld)):
        raise InputError(f"sampling.sage: {SAGE} has no backward pass; networks learn without it")
    if block != SAGE_BLOCKS[1] or query_bhld.shape[2] < SAGE_BLOCKS[0]:
        raise InputError(
            f"sampling.sage: blocks of {block} and {query_bhld.shape[2]} tokens; expected blocks of {SAGE_BLOCKS[1]} and at"
            f" least {SAGE_BLOCKS[0]} tokens"
        )
    import spas_sage_attn

    blocks = index_bhnj.shape[2]
    chosen = F.pad(block_map(index_bhnj, blocks), (0, 0, 0, blocks % 2)).unflatten(2, (-1, 2)).any(3)
    mixed: Tensor = spas_sage_attn.block_sparse_sage2_attn_cuda(query_bhld, key_bhld, value_bhld, chosen.to(torch.int8))
    return mixed.type_as(value_bhld)
