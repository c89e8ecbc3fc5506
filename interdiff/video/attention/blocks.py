"""Which blocks of keys a block of queries attends to: those whose mean key is most like its mean query.

B clips, H heads, L tokens in N blocks of up to b, D features, J chosen blocks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def blocked(x_bhld: Tensor, block: int) -> Tensor:
    """Tokens [B, H, L, D] in blocks [B, H, N, b, D], the last filled up with zeros."""
    missing = -x_bhld.shape[2] % block
    return F.pad(x_bhld, (0, 0, 0, missing)).unflatten(2, (-1, block))


def block_means(x_bhld: Tensor, block: int) -> Tensor:
    """Means of blocks, the last by its true length: [B, H, N, D] in fp32; tokens are read once, and not copied."""
    whole = x_bhld.shape[2] // block * block
    means = x_bhld[:, :, :whole].unflatten(2, (-1, block)).mean(3, dtype=torch.float32)
    if whole == x_bhld.shape[2]:
        return means
    return torch.cat([means, x_bhld[:, :, whole:].mean(2, keepdim=True, dtype=torch.float32)], 2)


def mean_of_blocks(means_bhnd: Tensor, length: int, block: int) -> Tensor:
    """The mean of all L tokens, [B, H, 1, D], from those of their blocks."""
    last = means_bhnd.shape[2] - 1
    summed = block * means_bhnd[:, :, :last].sum(2) + (length - last * block) * means_bhnd[:, :, last]
    return summed.unsqueeze(2) / length


def kept_count(blocks: int, keep: float) -> int:
    """J: at least one, where the authors' code keeps none of few blocks and divides by zero."""
    return max(1, min(blocks, math.floor(keep * blocks)))


def block_scores(query_bhld: Tensor, key_bhld: Tensor, block: int) -> Tensor:
    """How alike blocks are, [B, H, N, N]: products of mean queries and mean keys.

    From the keys their overall mean is taken off (SLA, section 3.2, after Zhang et al. 2025b): the order stays the same, and
    what is left of large keys in 16 bits is exact.
    """
    query, key = block_means(query_bhld, block), block_means(key_bhld, block)
    return query @ (key - mean_of_blocks(key, key_bhld.shape[2], block)).mT


def chosen_blocks(scores_bhnn: Tensor, keep: float, ordered: bool = False) -> Tensor:
    """The J blocks of keys with the highest scores, for each block of queries: [B, H, N, J] int64, best first if `ordered`."""
    return scores_bhnn.topk(kept_count(scores_bhnn.shape[-1], keep), dim=-1, sorted=ordered).indices


def block_map(index_bhnj: Tensor, blocks: int) -> Tensor:
    """Whether a block of queries attends to a block of keys: bool [B, H, N, N]."""
    nothing = torch.zeros(*index_bhnj.shape[:-1], blocks, dtype=torch.bool, device=index_bhnj.device)
    return nothing.scatter(-1, index_bhnj, True)


def attention_mass(query_bhld: Tensor, key_bhld: Tensor, index_bhnj: Tensor, block: int) -> Tensor:
    """Share of dense attention that the chosen blocks cover, mean over queries: [B, H]; one block after the other."""
    length, size = query_bhld.shape[2:]
    chosen = block_map(index_bhnj, index_bhnj.shape[2])
    covered = []
    for number, query in enumerate(query_bhld.float().split(block, 2)):
        dense = (query @ key_bhld.float().mT / math.sqrt(size)).softmax(-1)
        seen = chosen[:, :, number].repeat_interleave(block, 2)[..., :length]
        covered.append((dense * seen[:, :, None]).sum(-1))
    return torch.cat(covered, 2).mean(2)
