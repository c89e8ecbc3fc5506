"""Wan's video transformer over any frames of a clip, each with its own place in time and its own noise level.

The network is diffusers' `WanTransformer3DModel`, weights and modules as they are, with blocks that take a modulation per
frame. Stock Wan takes the frames 0..T-1; here each sample names its frames, so phase 1 computes K frames and no more. Stock
Wan's noise levels by token are expanded to a modulation per token (1.2 GB a clip at the size of Wan2.1-1.3B); here they are
by frame, and broadcast.

B clips, C channels, F frames, H x W latents or tokens of a frame (S = H W), D features.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor, WanTransformerBlock
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange
from interdiff.errors import InputError
from interdiff.learning.networks import zero
from interdiff.learning.precision import without_autocast
from interdiff.video.backbone.settings import COORDINATES
from interdiff.video.backbone.smoothing import Smoothing

WAN_1_3B = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}
"""What Wan2.1-T2V-1.3B changes in diffusers' defaults."""
TIMESTEPS = 1000
"""Wan's network is told the noise level times this."""


def coordinates(frames_bf: Tensor, height: int, width: int) -> Tensor:
    """Where latents lie: shares u of the time up to the last frame, of height and of width, [B, 9, F, H, W].

    Each as sqrt(12) (u - 1 / 2) and as the cosine and sine of 2 pi u times sqrt(2), of variance 1 for even u. Rotary
    positions tell a network how far apart two tokens are, and not where they are. At high noise the direction of a motion
    is no more than what is where when: without coordinates a small network does not learn it.
    """
    batch, count = frames_bf.shape
    time = frames_bf / frames_bf.amax(1, keepdim=True).clamp_min(1)
    y, x = ((torch.arange(size, device=frames_bf.device) + 0.5) / size for size in (height, width))
    axes = time[:, :, None, None], y[None, None, :, None], x[None, None, None, :]
    waves = [
        (12**0.5 * (u - 0.5), 2**0.5 * torch.cos(2 * math.pi * u), 2**0.5 * torch.sin(2 * math.pi * u)) for u in axes
    ]
    return torch.stack([wave.expand(batch, count, height, width) for axis in waves for wave in axis], 1)


def over_frames(value_bf: Tensor) -> Tensor:
    """[B, F] -> [B, 1, F, 1, 1], to multiply frames [B, C, F, H, W] with."""
    return value_bf[:, None, :, None, None]


class FramesBlock(WanTransformerBlock):
    """Diffusers' block, with a modulation [B, F, 6, D] per frame."""

    def forward(  # type: ignore[override]
        self, x: Tensor, text: Tensor, modulation: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Tokens [B, F, S, D] of frames that attend to one another and to the text's rows [B, L, D]."""
        parts = (self.scale_shift_table + modulation.float()).unsqueeze(3).unbind(2)
        shift, scale, gate, shift_ff, scale_ff, gate_ff = parts
        frames = x.shape[1]
        hidden = (self.norm1(x.float()) * (1 + scale) + shift).type_as(x)
        mixed = self.attn1(hidden.flatten(1, 2), None, None, rotary).unflatten(1, (frames, -1))
        x = (x.float() + mixed * gate).type_as(x)
        hidden = self.norm2(x.float()).type_as(x)
        x = x + self.attn2(hidden.flatten(1, 2), text, None, None).unflatten(1, (frames, -1))
        hidden = (self.norm3(x.float()) * (1 + scale_ff) + shift_ff).type_as(x)
        return (x.float() + self.ffn(hidden).float() * gate_ff).type_as(x)


class FewTokens(WanAttnProcessor):
    """Wan's attention, in fp32 on a CPU: for tens or hundreds of tokens the bf16 kernel takes up to four times as long."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Tokens [B, N, D], which attend to those of `encoder_hidden_states` or to one another: [B, N, D]."""
        if hidden_states.device.type != "cpu":
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.norm_q(attn.to_q(hidden_states).float()), attn.norm_k(attn.to_k(context).float())
        parts = query, key, attn.to_v(context).float()
        query, key, value = (rearrange(part, "b n (h d) -> b h n d", h=attn.heads) for part in parts)
        if rotary_emb is not None:
            turns = torch.complex(*(part[..., ::2].transpose(1, 2) for part in rotary_emb))
            query, key = _turned(query, turns), _turned(key, turns)
        with torch.autocast("cpu", enabled=False):
            mixed = F.scaled_dot_product_attention(query, key, value)
        return attn.to_out[0](rearrange(mixed, "b h n d -> b n (h d)"))


def _turned(x_bhnd: Tensor, turns: Tensor) -> Tensor:
    """Neighbouring pairs of numbers times complex numbers of size 1, [B, 1, N, D / 2]."""
    return torch.view_as_real(torch.view_as_complex(x_bhnd.unflatten(-1, (-1, 2))) * turns).flatten(-2)


class WanDenoiser(nn.Module):
    """Velocity, noise minus data, of noisy frames z = (1 - sigma) data + sigma noise (Lipman et al. 2023)."""

    def __init__(
        self, transformer: WanTransformer3DModel, preconditioned: bool, smoothing: Smoothing | None = None
    ) -> None:
        """
        Args:
            preconditioned: the network's input and target have unit variance at every level, where data and noise have it
                (Karras et al. 2022, section 5, for the linear path): small networks learn several times faster. Wan has none.
            smoothing: of its guesses over time. Wan has none.
        """
        super().__init__()
        self.preconditioned, self.smoothing = preconditioned, smoothing
        if transformer.config.patch_size[0] != 1:
            raise InputError(f"patch_size {tuple(transformer.config.patch_size)}: expected 1 latent frame in time")
        for block in transformer.blocks:
            block.__class__ = FramesBlock
        self.transformer = transformer

    def forward(
        self, z_bcfhw: Tensor, sigma_bf: Tensor, embed_bld: Tensor, frames_bf: Tensor, correction: bool = False
    ) -> Tensor:
        """Velocity [B, C, F, H, W].

        Args:
            z_bcfhw: F noisy frames.
            sigma_bf: [B, F] or, for the same of all frames, [B, 1]; in [0, 1].
            embed_bld: text embedding, zero past the prompt's end.
            frames_bf: [B, F] int64, the frames' places in the clip.
            correction: without smoothing or what preconditioning passes on of the input: nothing, where the last layer is zero.
        """
        velocity = self._velocity(z_bcfhw, sigma_bf, embed_bld, frames_bf, correction)
        if self.smoothing is None or correction:
            return velocity
        return self.smoothing(velocity, z_bcfhw, sigma_bf, frames_bf)

    def _velocity(
        self, z_bcfhw: Tensor, sigma_bf: Tensor, embed_bld: Tensor, frames_bf: Tensor, correction: bool
    ) -> Tensor:
        if not self.preconditioned:
            return self._network(z_bcfhw, sigma_bf, embed_bld, frames_bf)
        sigma = over_frames(sigma_bf)
        variance = sigma.square() + (1 - sigma).square()
        output = self._network(z_bcfhw / variance.sqrt(), sigma_bf, embed_bld, frames_bf)
        learned = output / variance.sqrt()
        return learned if correction else (2 * sigma - 1) / variance * z_bcfhw + learned

    def _network(self, z_bcfhw: Tensor, sigma_bf: Tensor, embed_bld: Tensor, frames_bf: Tensor) -> Tensor:
        model = self.transformer
        _, channels, _, height, width = z_bcfhw.shape
        if model.config.in_channels == channels + COORDINATES:
            z_bcfhw = torch.cat([z_bcfhw, coordinates(frames_bf, height, width)], 1)
        rotary = _rotary(model.rope, frames_bf, height, width)
        x = rearrange(model.patch_embedding(z_bcfhw.to(model.dtype)), "b d f h w -> b f (h w) d").contiguous()
        with without_autocast(x.device):
            time, modulation, text, _ = model.condition_embedder(
                (TIMESTEPS * sigma_bf).flatten(), embed_bld.to(model.dtype), timestep_seq_len=sigma_bf.shape[1]
            )
        modulation = modulation.unflatten(2, (6, -1))
        for block in model.blocks:
            arguments = (x, text, modulation, rotary)
            checkpointed = torch.is_grad_enabled() and model.gradient_checkpointing
            x = model._gradient_checkpointing_func(block, *arguments) if checkpointed else block(*arguments)
        shift, scale = (model.scale_shift_table + time.float().unsqueeze(2)).unsqueeze(3).unbind(2)
        x = model.proj_out((model.norm_out(x.float()) * (1 + scale) + shift).type_as(x))
        _, p, q = model.config.patch_size
        return rearrange(x, "b f (h w) (p q c) -> b c f (h p) (w q)", h=height // p, p=p, q=q).float()


def _rotary(rope: Any, frames_bf: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the frames' tokens, each [B, F H W, 1, D]: those of `WanRotaryPosEmbed` at given frames."""
    _, p, q = rope.patch_size
    rows, columns = height // p, width // q
    batch, count = frames_bf.shape

    def table(frequencies: Tensor) -> Tensor:
        t, h, w = frequencies.split([rope.t_dim, rope.h_dim, rope.w_dim], dim=1)
        at = (batch, count, rows, columns, -1)
        parts = (t[frames_bf][:, :, None, None], h[:rows, None], w[:columns])
        return torch.cat([part.expand(at) for part in parts], -1).flatten(1, 3)[:, :, None]

    return table(rope.freqs_cos), table(rope.freqs_sin)


def first_blocks(model: WanDenoiser, layers: int, ffn_dim: int, name: str) -> WanDenoiser:
    """A network's first blocks with the first units of their feed-forward layers, and an answer still to be learned.

    Raises:
        InputError: the network has fewer of either (says so of the settings `name`).
    """
    whole = model.transformer
    for key, size, there in (("layers", layers, whole.config.num_layers), ("ffn_dim", ffn_dim, whole.config.ffn_dim)):
        if size > there:
            raise InputError(f"{name}.{key}: {size}, but the backbone has {there}")
    sizes = dict(whole.config) | {"num_layers": layers, "ffn_dim": ffn_dim}
    transformer = WanTransformer3DModel.from_config(sizes).to(whole.device)
    for block, source in zip(transformer.blocks, whole.blocks, strict=False):
        for attention in ("attn1", "attn2"):
            processor = copy.deepcopy(getattr(source, attention).processor)
            getattr(block, attention).set_processor(processor)
    weights = whole.state_dict()
    parts = {
        name: weights[name][tuple(slice(size) for size in tensor.shape)]
        for name, tensor in transformer.state_dict().items()
    }
    transformer.load_state_dict(parts)
    zero(transformer.proj_out)
    return WanDenoiser(transformer, model.preconditioned, model.smoothing)


def match_precision(model: WanDenoiser, backbone: WanDenoiser) -> None:
    """Give tensors of a trained network the types of the backbone's by the same names."""
    types = {name: parameter.dtype for name, parameter in backbone.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(types.get(name, parameter.dtype))
