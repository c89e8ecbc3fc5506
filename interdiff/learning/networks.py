"""Building blocks of every network: a transformer over a few tokens, conditioned on a vector and on a shared context.

A batch is made of G groups (maze: layouts; video: one per prompt) of equally many samples, ordered by group. What belongs
to a group - its context tokens - is computed once per group, and all its samples' queries attend to it in one product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange


@cache
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers on a device, copied there once: at every call whoever asks would wait for what the device still has to do."""
    return torch.tensor(values, dtype=dtype, device=device)


class FourierFeatures(nn.Module):
    """x [..., D] -> [..., D * (1 + 2 * octaves)]: x itself, and sin and cos of pi * 2^n * x * scale."""

    def __init__(self, octaves: int, scale: float = 1.0) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", math.pi * scale * 2.0 ** torch.arange(octaves), persistent=False)

    def width(self, channels: int) -> int:
        return channels * (1 + 2 * len(self.frequencies))

    def forward(self, x: Tensor) -> Tensor:
        angles = (x[..., None] * self.frequencies).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def last_linear(module: nn.Module) -> nn.Linear:
    """A linear layer, or the one at the end of a sequence."""
    layer = module[-1] if isinstance(module, nn.Sequential) else module
    assert isinstance(layer, nn.Linear)
    return layer


def zero(layer: nn.Conv2d | nn.Linear) -> None:
    """Makes a layer answer zero until it has learned something else."""
    assert layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


@dataclass(frozen=True)
class Context:
    """Keys and values of every cross-attention layer, each [G, H, M, E], made once by `Transformer.encode_context`."""

    keys: list[Tensor]
    values: list[Tensor]


class Attention(nn.Module):
    """Multi-head attention among a sample's tokens [B, N, D]."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h e) -> three b h n e", three=3, h=self.heads)
        return self.out(rearrange(F.scaled_dot_product_attention(q, k, v), "b h n e -> b n (h e)"))


class CrossAttention(nn.Module):
    """Attention of all samples' tokens [B, N, D] to their group's context [G, M, D], B a multiple of G."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def encode(self, context: Tensor) -> tuple[Tensor, Tensor]:
        key, value = rearrange(self.key_value(context), "g m (two h e) -> two g h m e", two=2, h=self.heads)
        return key, value

    def forward(self, x: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """`bias` [B, H, M] is added to the scores of all of a sample's tokens."""
        groups, tokens = key.shape[0], x.shape[1]
        query = rearrange(self.query(x), "(g s) n (h e) -> g h (s n) e", g=groups, h=self.heads)
        if bias is not None:
            bias = rearrange(bias, "(g s) h m -> g h s 1 m", g=groups).expand(-1, -1, -1, tokens, -1).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(rearrange(mixed, "g h (s n) e -> (g s) n (h e)", n=tokens))


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each behind an adaptive layer norm (adaLN-zero, Peebles & Xie 2023)."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model, elementwise_affine=False)
        self.attention = Attention(d_model, heads)
        self.cross_attention = CrossAttention(d_model, heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, 4 * d_model), nn.GELU(approximate="tanh"), nn.Linear(4 * d_model, d_model)
        )
        self.modulation = nn.Linear(d_model, 7 * d_model)
        zero(self.modulation)

    def forward(self, x: Tensor, condition: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        scale1, shift1, gate1, gate2, scale3, shift3, gate3 = self.modulation(F.silu(condition))[:, None].chunk(7, -1)
        x = x + (1 + gate1) * self.attention(self.norm(x) * (1 + scale1) + shift1)
        x = x + (1 + gate2) * self.cross_attention(self.norm(x), key, value, bias)
        return x + (1 + gate3) * self.feed_forward(self.norm(x) * (1 + scale3) + shift3)


class Transformer(nn.Module):
    """`depth` blocks over tokens [B, N, D], a condition vector [B, D] and a context [G, M, D]."""

    def __init__(self, d_model: int, depth: int, heads: int) -> None:
        super().__init__()
        blocks = [Block(d_model, heads) for _ in range(depth)]
        self.blocks: Any = nn.ModuleList(blocks)
        for block in blocks:
            for layer in (block.attention.out, block.cross_attention.out, last_linear(block.feed_forward)):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * depth))
                nn.init.zeros_(layer.bias)

    def encode_context(self, context: Tensor) -> Context:
        pairs = [block.cross_attention.encode(context) for block in self.blocks]
        return Context([key for key, _ in pairs], [value for _, value in pairs])

    def forward(self, x: Tensor, condition: Tensor, context: Context, bias: Tensor | None = None) -> Tensor:
        for block, key, value in zip(self.blocks, context.keys, context.values, strict=True):
            x = block(x, condition, key, value, bias)
        return x


def initialise_from(model: nn.Module, source: nn.Module) -> int:
    """Copy every parameter of `source` whose name and shape `model` shares; return how many were copied."""
    target = model.state_dict()
    shared = {n: p for n, p in source.state_dict().items() if n in target and target[n].shape == p.shape}
    model.load_state_dict(shared, strict=False)
    return len(shared)
