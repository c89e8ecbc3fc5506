"""The backbone: a text-conditioned Wan transformer, trained here or loaded; the teacher, and what both phases start from.

B sequences, N tokens, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from scipy.optimize import nnls
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.axes import rearrange
from interdiff.errors import InputError
from interdiff.files import read_json
from interdiff.learning.checkpoints import CONFIG, load_checkpoint
from interdiff.learning.networks import constant, zero
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import set_attention
from interdiff.video.backbone.lora import add_lora, read_lora
from interdiff.video.backbone.settings import COORDINATES, TransformerSettings
from interdiff.video.backbone.smoothing import LENGTHS, Smoothing, matern
from interdiff.video.backbone.wan import FewTokens, WanDenoiser
from interdiff.video.backbone.wan_folder import load_wan
from interdiff.video.codec.codec import CHANNELS

LONGEST = 128
"""Latent frames, rows and columns that positions are known for, at most."""
NEARBY, FASTEST = 2.0, 3
"""The bias of queries and keys that attention starts with, and the number of rotations of each axis that have it."""
RANK = 1e-4
"""Share of the largest deviation below which a component of prompts is rounding."""


def transformer_config(settings: TransformerSettings, text_dim: int) -> dict[str, Any]:
    """What `build_backbone` takes."""
    dense = settings.attention.kind == "dense"
    size = settings.model_dump(exclude={"patch", "text_components", "smoothing", *(["attention"] if dense else [])})
    patch_size = [1, settings.patch, settings.patch]
    return size | {"patch_size": patch_size, "text_dim": text_dim, "channels": CHANNELS}


def build_backbone(
    channels: int,
    patch_size: list[int],
    coordinates: bool = False,
    attention: Mapping[str, Any] | None = None,
    smoothing: Mapping[str, Any] | None = None,
    **size: Any,
) -> WanDenoiser:
    """An untrained backbone, which answers with the best guess that knows no data and attends to what is near.

    smoothing: `error` and `weights` of `Smoothing`.
    """
    transformer = WanTransformer3DModel(
        patch_size=tuple(patch_size),
        in_channels=channels + (COORDINATES if coordinates else 0),
        out_channels=channels,
        freq_dim=128,
        rope_max_seq_len=LONGEST,
        **size,
    )
    transformer.set_attn_processor(FewTokens())
    set_attention(transformer, AttentionSettings(**(attention or {})))
    zero(transformer.proj_out)
    _attend_nearby(transformer)
    return WanDenoiser(transformer, preconditioned=True, smoothing=Smoothing(**smoothing) if smoothing else None)


@torch.no_grad()
def _attend_nearby(transformer: WanTransformer3DModel) -> None:
    """Start self-attention with a peak at no distance in time and space.

    Queries and keys get one bias, in the fastest rotations of each axis: rotary positions turn the product of the two
    into a sum of cosines of the distance. From Wan's own start, which looks everywhere alike, a network of this size takes
    a fifth more steps to the same loss.
    """
    rope, heads = transformer.rope, transformer.config.num_attention_heads
    fastest = torch.cat(
        [torch.arange(size, device=transformer.device) < 2 * FASTEST for size in (rope.t_dim, rope.h_dim, rope.w_dim)]
    )
    for block in transformer.blocks:
        for project in (block.attn1.to_q, block.attn1.to_k):
            project.bias += NEARBY * fastest.repeat(heads)


@torch.no_grad()
def whiten_text(model: WanDenoiser, embed_nd: Tensor, components: int) -> None:
    """Start the first projection of text as random mixtures of the leading principal components, each of unit variance.

    A start that follows the data (Krähenbühl et al. 2016, Data-dependent initializations of convolutional neural networks).
    An object's direction is 4 % of the variance of MiniLM's sentences about it, and 8 % of that of their 32 components
    (colour 43 %, then 15 %): from a random start a network of this size learns colours early and directions very late. The
    components are orthogonal to the mean row, so that padding, which is zero, looks like that row and not like what is rare.

    Args:
        embed_nd: rows of prompts.

    Raises:
        InputError: they vary in fewer components.
    """
    linear = model.transformer.condition_embedder.text_embedder.linear_1
    mean = F.normalize(embed_nd.mean(0), dim=0)
    _, scale, axes = torch.linalg.svd(embed_nd - (embed_nd @ mean)[:, None] * mean, full_matrices=False)
    there = int((scale > RANK * scale[0]).sum())
    if components > there:
        raise InputError(
            f"backbone.transformer.text_components: {components}; expected at most {there}, in which {len(embed_nd)} rows of"
            " prompts vary"
        )
    whiten = axes[:components] / scale[:components, None] * len(embed_nd) ** 0.5
    mixture = nn.init.normal_(whiten.new_empty(linear.out_features, len(whiten)), std=len(whiten) ** -0.5)
    linear.weight.copy_(mixture @ whiten)
    nn.init.zeros_(linear.bias)


def fit_covariance(z_bcthw: Tensor) -> list[list[float]]:
    """Variances [C, J] of processes whose sum has the covariance over time of clips, by least squares over the time between."""
    frames = z_bcthw.shape[2]
    z = rearrange(z_bcthw, "b c t h w -> c t (b h w)").double()
    pairs = z @ z.mT / z.shape[2]
    apart = torch.stack([pairs.diagonal(lag, 1, 2).mean(1) for lag in range(frames)], 1)
    places = torch.arange(frames, dtype=z.dtype, device=z.device) / max(frames - 1, 1)
    kernels = matern(places[:, None], constant(LENGTHS, z.dtype, z.device)).cpu().numpy()
    return [nnls(kernels, channel)[0].tolist() for channel in apart.cpu().numpy()]


def load_backbone(files: Sequence[Path], device: torch.device) -> WanDenoiser:
    """A checkpoint of the backbone stage, or a folder of Wan, and maybe a LoRA that is added to it.

    files: of one folder; a last one from elsewhere is the LoRA.
    """
    folder, last = files[0].parent, files[-1]
    if (folder / CONFIG).is_file() and "kind" in read_json(folder / CONFIG):
        model = load_checkpoint(folder, "backbone", lambda config: build_backbone(**config), device)
    else:
        model = load_wan(folder, device)
    if last.parent != folder:
        add_lora(model.transformer, read_lora(last), last)
    return model
