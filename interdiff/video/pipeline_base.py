"""What pipelines of diffusers that make clips have in common: prompts, noise, steps that are told, and pixels.

B clips, C channels, T frames of latents, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline
from diffusers.loaders import WanLoraLoaderMixin
from torch import Tensor

from interdiff.learning import draws
from interdiff.video.backbone.flow_matching import After
from interdiff.video.codec.codec import CHANNELS, Codec
from interdiff.video.codec.wan_vae import WanCodec

Callback = Callable[[Any, int, float, dict[str, Tensor]], dict[str, Tensor]]
"""(pipeline, step, timestep, {"latents": [B, C, F, H, W]}) -> the same, maybe with other latents."""
OUTPUTS = ("np", "pt", "pil", "latent")


class ClipsPipeline(DiffusionPipeline, WanLoraLoaderMixin):
    """Text to video.

    Its configuration has `height` and `width` in latents, `rows`, L of embeddings, and `sentences`: one for each.
    """

    _optional_components: ClassVar[list[str]] = ["tokenizer", "text_encoder"]

    def encode_prompt(self, prompt: str | Sequence[str] | None) -> Tensor:
        """Embeddings [B, L, D], zero past each prompt's end.

        Raises:
            ValueError: there is no text, or no text encoder.
        """
        if prompt is None or self.text_encoder is None:
            raise ValueError("expected a prompt and a text encoder, or prompt_embeds")
        # Here, since it needs transformers, and who has embeddings does not.
        from interdiff.video.data.text import TextEncoder

        encoder = TextEncoder(self.tokenizer, self.text_encoder, self.config.rows, self.config.sentences)
        return encoder([prompt] if isinstance(prompt, str) else prompt).float()

    def _given(
        self,
        prompt: str | Sequence[str] | None,
        prompt_embeds: Tensor | None,
        frames: int,
        latents: Tensor | None,
        generator: torch.Generator | None,
        output_type: str,
    ) -> tuple[Tensor, Tensor, torch.Generator]:
        """Embeddings [B, L, D], noise [B, C, T, H, W] and where more of it comes from; ValueError as of a call."""
        config, device = self.config, self._execution_device
        if output_type not in OUTPUTS:
            raise ValueError(f"output_type {output_type!r}: expected one of {', '.join(OUTPUTS)}")
        generator = _on_cpu(generator)
        embed = self.encode_prompt(prompt) if prompt_embeds is None else prompt_embeds.to(device)
        shape = (len(embed), CHANNELS, frames, config.height, config.width)
        if latents is None:
            latents = draws.normal(shape, generator, device)
        if tuple(latents.shape) != shape:
            raise ValueError(f"latents {list(latents.shape)}: expected {list(shape)}")
        return embed, latents.to(device), generator

    def _after(self, times: Sequence[float], bar: Any, callback: Callback | None) -> After:
        """Counts steps from these timesteps, and tells them."""
        steps = count()

        def after(z: Tensor) -> Tensor:
            step = next(steps)
            if callback:
                z = callback(self, step, times[step], {"latents": z}).get("latents", z)
            bar.update()
            return z

        return after

    def _decoded(self, z: Tensor, output_type: str) -> Any:
        if output_type == "latent":
            return z
        codec: Codec = WanCodec(self.vae, tiled=False) if isinstance(self.vae, AutoencoderKLWan) else self.vae
        video = codec.decode(z)
        if output_type == "pt":
            return video.movedim(-1, 2).float() / 255
        pixels = video.numpy(force=True)
        if output_type == "np":
            return pixels.astype(np.float32) / 255
        return [[PIL.Image.fromarray(frame) for frame in clip] for clip in pixels]


def _on_cpu(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        return draws.generator_of(secrets.randbits(60))
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        raise ValueError(f"generator {generator!r}: expected one torch.Generator on the CPU")
    return generator
