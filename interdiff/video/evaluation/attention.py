"""What sparse attention leaves of a network's answers, and of the attention that it would pay.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from interdiff.video.attention.blocks import attention_mass
from interdiff.video.attention.sparse_linear import SparseLinear
from interdiff.video.backbone.flow_matching import noisy
from interdiff.video.backbone.wan import WanDenoiser

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels of clips that networks answer."""


@torch.no_grad()
def faithfulness(
    model: WanDenoiser, dense: WanDenoiser, z_bcthw: Tensor, noise_bcthw: Tensor, embed_bld: Tensor
) -> tuple[Tensor, Tensor]:
    """How near a network is to a dense one on the same noisy clips.

    Returns:
        The velocity's root mean squared error over the dense one's root mean square, over all levels, [B]; and the share
        of its own dense attention that the chosen blocks cover, mean over levels, layers, heads and queries, [B].
    """
    frames = torch.arange(z_bcthw.shape[2], device=z_bcthw.device).expand(len(z_bcthw), -1)
    errors, sizes, masses = [], [], []
    for level in LEVELS:
        sigma = z_bcthw.new_full((len(z_bcthw), 1), level)
        given = noisy(z_bcthw, noise_bcthw, sigma), sigma, embed_bld, frames
        with attention_masses(model) as found:
            ours = model(*given)
        theirs = dense(*given)
        errors.append((ours - theirs).square().flatten(1).sum(1))
        sizes.append(theirs.square().flatten(1).sum(1))
        masses.append(torch.stack(found).mean(0) if found else torch.ones_like(sizes[0]))
    return (torch.stack(errors).sum(0) / torch.stack(sizes).sum(0)).sqrt(), torch.stack(masses).mean(0)


@contextmanager
def attention_masses(model: WanDenoiser) -> Iterator[list[Tensor]]:
    """The share of dense attention that each layer's blocks cover, [B], layer by layer as they run."""
    found: list[Tensor] = []
    layers = [module for module in model.modules() if isinstance(module, SparseLinear)]

    def noting(layer: SparseLinear) -> None:
        attend = layer.attend

        def noted(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            found.append(attention_mass(query, key, layer.choice(query, key), layer.settings.block).mean(1))
            return attend(query, key, value)

        layer.attend = noted  # type: ignore[assignment, method-assign]

    for layer in layers:
        noting(layer)
    try:
        yield found
    finally:
        for layer in layers:
            del layer.attend
