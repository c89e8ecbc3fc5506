"""Linear attention (Katharopoulos et al. 2020): products of features of queries and keys in place of a softmax.

B clips, H heads, L tokens in N blocks, D features, J chosen blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.video.attention.blocks import block_map, blocked
from interdiff.video.attention.settings import FeatureMap

SMALLEST = 1e-5
"""What is added to the sum of weights, as in the authors' code."""


def features(x_bhld: Tensor, kind: FeatureMap) -> Tensor:
    """Positive features of queries or keys, in fp32."""
    x = x_bhld.float()
    return {"softmax": lambda: x.softmax(-1), "elu": lambda: F.elu(x) + 1, "relu": lambda: x.relu()}[kind]()


def to_all(query_bhld: Tensor, key_bhld: Tensor, value_bhld: Tensor, kind: FeatureMap) -> Tensor:
    """Attention to all keys, [B, H, L, D] in fp32: phi(q) (phi(K)^T V) / (phi(q) . sum phi(K))."""
    query, key = features(query_bhld, kind), features(key_bhld, kind)
    return _divided(query @ (key.mT @ value_bhld.float()), query @ key.sum(2).unsqueeze(-1))


def to_complement(
    query_bhld: Tensor, key_bhld: Tensor, value_bhld: Tensor, index_bhnj: Tensor, block: int, kind: FeatureMap
) -> Tensor:
    """Attention to the keys of blocks that are not chosen, [B, H, L, D] in fp32; zeros where all are chosen.

    Each block of keys is one state phi(K_j)^T V_j and one sum; a block of queries takes the states of what it left out.
    """
    length = query_bhld.shape[2]
    key = blocked(features(key_bhld, kind), block)
    # The zeros that fill the last block up have features too.
    blocks = key.shape[2]
    real = torch.arange(blocks * block, device=key.device).view(blocks, block, 1) < length
    key = key * real
    states, sums = key.mT @ blocked(value_bhld.float(), block), key.sum(3)
    left_out = (~block_map(index_bhnj, blocks)).float()
    states = (left_out @ states.flatten(3)).unflatten(3, states.shape[3:])
    query = blocked(features(query_bhld, kind), block)
    mixed = _divided(query @ states, query @ (left_out @ sums).unsqueeze(-1))
    return mixed.flatten(2, 3)[:, :, :length]


def _divided(weighted: Tensor, weights: Tensor) -> Tensor:
    return weighted / (weights + SMALLEST)
