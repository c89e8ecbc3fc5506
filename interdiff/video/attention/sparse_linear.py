"""Sparse-linear attention as a processor of diffusers' Wan: a module, whose weights are the network's.

SLA (Zhang et al. 2025): exact attention to the chosen blocks, plus a projection of linear attention,
zero at first. SLA2 (Zhang et al. 2026): a mixture of the two by a learned ratio, and a learned choice.

B clips, H heads, L tokens, D features.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention, _get_qkv_projections
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange
from interdiff.learning.networks import zero
from interdiff.learning.precision import without_autocast
from interdiff.video.attention.blocks import block_means, block_scores, chosen_blocks, kept_count
from interdiff.video.attention.kernels import SAGE, flexible, gathered, sage
from interdiff.video.attention.linear_branch import to_all, to_complement
from interdiff.video.attention.settings import AttentionSettings

log = logging.getLogger(__name__)
PROCESSOR = ".processor."
"""What the names of its weights have in them, and no other weight of Wan."""
MOSTLY_EXACT = 4.0
"""The logit of the share of exact attention that SLA2 starts with, 0.98."""


class KeptChoice:
    """A layer's choice of blocks, which serves some passes over tokens of one shape that follow one another."""

    def __init__(self, passes: int) -> None:
        self._passes, self._left = passes, 0
        self._index, self._shape = torch.empty(0, device="cpu"), torch.Size()

    @torch.compiler.disable  # or compiled code would be made anew for each number of passes that are left
    def index(self, query_bhld: Tensor, choose: Callable[[], Tensor]) -> Tensor:
        """The kept choice [B, H, N, J], or another where it has served or the shape is another."""
        if not self._left or query_bhld.shape != self._shape:
            self._index, self._shape, self._left = choose(), query_bhld.shape, self._passes
        self._left -= 1
        return self._index


class SparseLinear(nn.Module):
    """Self-attention of one layer; with `sage` by kernels that only sample. kept: within `reused_choices`."""

    def __init__(self, head_dim: int, settings: AttentionSettings) -> None:
        super().__init__()
        self.settings, self.sage = settings, False
        self.kept: KeptChoice | None = None
        if settings.kind == "sla2":
            self.ratio = nn.Linear(head_dim, 1)
            zero(self.ratio)
            self.ratio.bias.data.fill_(MOSTLY_EXACT)
            self.routes = nn.ParameterList(torch.eye(head_dim) for _ in range(2))
        else:
            self.proj_l = nn.Linear(head_dim, head_dim)
            zero(self.proj_l)

    def forward(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Tokens [B, L, H D] attend to one another: [B, L, H D]. Wan's self-attention has neither context nor mask."""
        query, key, value = _get_qkv_projections(attn, hidden_states, hidden_states)
        parts = (
            rearrange(x, "b l (h d) -> b h l d", h=attn.heads) for x in (attn.norm_q(query), attn.norm_k(key), value)
        )
        query, key, value = parts
        if rotary_emb is not None:
            query, key = rotated(query, rotary_emb), rotated(key, rotary_emb)
        if query.device.type == "cpu":  # whose kernels of 16 bits are slow
            query, key, value = query.float(), key.float(), value.float()
        mixed = self.attend(query, key, value).type_as(hidden_states)
        out: Tensor = attn.to_out[0](rearrange(mixed, "b h l d -> b l (h d)"))
        return out

    def attend(self, query_bhld: Tensor, key_bhld: Tensor, value_bhld: Tensor) -> Tensor:
        """[B, H, L, D] of queries, keys and values after rotation."""
        settings, parts = self.settings, (query_bhld, key_bhld, value_bhld)
        with without_autocast(query_bhld.device):
            if settings.kind == "sla2":
                return self._mixture(*parts)
            index = self._chosen(query_bhld, key_bhld)
            exact = self._exact(*parts, index)
            if settings.kind == "sla":
                linear = to_all(*parts, settings.feature_map)
            else:
                linear = to_complement(*parts, index, settings.block, settings.feature_map)
            return exact + F.linear(linear, self.proj_l.weight.float(), self.proj_l.bias.float()).type_as(exact)

    def choice(self, query_bhld: Tensor, key_bhld: Tensor) -> Tensor:
        """The blocks of keys that each block of queries attends to, chosen hard: [B, H, N, J]."""
        return chosen_blocks(self._scores(query_bhld, key_bhld), self.settings.keep)

    def _chosen(self, query: Tensor, key: Tensor) -> Tensor:
        """The same, or what is kept of the passes before."""
        if self.kept is None or self.training:
            return self.choice(query, key)
        return self.kept.index(query, lambda: self.choice(query, key))

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        block = self.settings.block
        if self.settings.kind != "sla2":
            return block_scores(query, key, block)
        means = block_means(query, block), block_means(key, block)
        first, second = (mean @ route.float().mT for mean, route in zip(means, self.routes, strict=True))
        return first @ second.mT

    def _mixture(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """SLA2, equation 6: a exact + (1 - a) linear, with a ratio a for each block of queries."""
        block, keep = self.settings.block, self.settings.keep
        bias = None
        if self.training and self.settings.router_temperature > 0:
            scores = self._scores(query, key)
            index = chosen_blocks(scores, min(1.0, 2 * keep), ordered=True)
            bias = self._softly(scores, index)
        else:
            index = self._chosen(query, key)
        exact = self._exact(query, key, value, index, bias)
        linear = to_complement(query, key, value, index, block, self.settings.feature_map)
        ratio = F.linear(block_means(query, block), self.ratio.weight.float(), self.ratio.bias.float()).sigmoid()
        ratio = ratio.repeat_interleave(block, 2)[:, :, : query.shape[2]]
        return (ratio * exact + (1 - ratio) * linear).type_as(value)

    def _softly(self, scores: Tensor, index: Tensor) -> Tensor:
        """Logarithms of how much each candidate counts, half at the last one that a hard choice would keep."""
        candidates = scores.gather(-1, index)
        last = candidates[..., kept_count(scores.shape[-1], self.settings.keep) - 1, None]
        return F.logsigmoid((candidates - last) / self.settings.router_temperature)

    def _exact(self, query: Tensor, key: Tensor, value: Tensor, index: Tensor, bias: Tensor | None = None) -> Tensor:
        block = self.settings.block
        if query.is_meta:  # counted, not computed
            return gathered(query, key, value, index, block, bias)
        if self.sage:
            _say(SAGE)
            return sage(query, key, value, index, block)
        if query.is_cuda and bias is None:
            _say("FlexAttention")
            return flexible(query, key, value, index, block)
        _say("gathered blocks")
        return gathered(query, key, value, index, block, bias)


@contextmanager
def reused_choices(networks: Iterable[nn.Module | None], passes: int) -> Iterator[None]:
    """For one sampling: what a layer of these networks chose in a pass serves so many of its passes, itself among them."""
    layers = [
        module
        for network in networks
        for module in (network.modules() if network and passes > 1 else ())
        if isinstance(module, SparseLinear)
    ]
    for layer in layers:
        layer.kept = KeptChoice(passes)
    try:
        yield
    finally:
        for layer in layers:
            layer.kept = None


@cache
def _say(way: str) -> None:
    log.info("sparse attention by %s", way)


def rotated(x_bhld: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Neighbouring pairs of features turned by Wan's tables of cosines and sines, each [B, L, 1, D]."""
    cos, sin = (table[..., ::2].transpose(1, 2) for table in rotary)
    first, second = x_bhld.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2).type_as(x_bhld)


def set_attention(transformer: WanTransformer3DModel, settings: AttentionSettings) -> None:
    """Give the self-attention of every block this kind, with what it has learned of one alike; dense leaves it as it is."""
    if settings.kind == "dense":
        return
    for block in transformer.blocks:
        before, processor = block.attn1.processor, SparseLinear(transformer.config.attention_head_dim, settings)
        if isinstance(before, SparseLinear) and before.state_dict().keys() == processor.state_dict().keys():
            processor.load_state_dict(before.state_dict())
        block.attn1.set_processor(processor.to(transformer.device))


def attention_of(transformer: WanTransformer3DModel) -> AttentionSettings:
    """The kind of a network's self-attention."""
    processor = transformer.blocks[0].attn1.processor
    return processor.settings if isinstance(processor, SparseLinear) else AttentionSettings()
