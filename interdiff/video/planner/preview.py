"""The preview: the backbone's first blocks, distilled to say in one cheap pass what noise will become.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.video.backbone.wan import WanDenoiser, first_blocks, match_precision, over_frames


class Preview(nn.Module):
    """A look at what noise will become: a denoiser's guess of all frames, in one pass.

    At the highest level any noise is as good as any other and the guess is the mean of what fits the prompt. So the noise is
    taken for a slightly lower `level`, where the first step from it, whose data is zero on average, would arrive.
    """

    def __init__(self, denoiser: WanDenoiser, level: float) -> None:
        super().__init__()
        self.denoiser, self.level = denoiser, level

    def forward(self, noise_bcthw: Tensor, embed_bld: Tensor) -> Tensor:
        """The guess [B, C, T, H, W] from noise of that shape and prompts [B, L, D]."""
        z = self.level * noise_bcthw
        sigma = z.new_full((len(z), 1), self.level)
        frames = torch.arange(z.shape[2], device=z.device).expand(len(z), -1)
        return z - over_frames(sigma) * self.denoiser(z, sigma, embed_bld, frames)


def build_preview(backbone: WanDenoiser, layers: int, ffn_dim: int, level: float) -> Preview:
    """A look by the backbone's first blocks, still to be learned; InputError as of `first_blocks`."""
    return Preview(first_blocks(backbone, layers, ffn_dim, "preview"), level)


def load_preview(folder: Path, backbone: WanDenoiser) -> Preview:
    """A checkpoint of a preview of this backbone, in evaluation mode and in the backbone's own precision.

    Raises:
        InputError: it is of another kind, or of a backbone of another size.
    """
    device = next(backbone.parameters()).device
    model = load_checkpoint(folder, "preview", lambda config: build_preview(backbone, **config), device)
    match_precision(model.denoiser, backbone)
    return model.requires_grad_(False)
