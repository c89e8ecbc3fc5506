"""A student of the backbone as a pipeline of diffusers: `StudentPipeline.from_pretrained(folder)("a red circle").frames`.

`python -m interdiff.workflow.export` makes such a folder. Its `transformer` is Wan's, and so is its answer: the velocity v of
a clip at a noise level. What a sampler must know beside is the `times` of `model_index.json`: from pure noise x, in each step
of a time t, at the level s = sin t / (cos t + sin t),

    data = x / (cos t + sin t) - s v,    and for the next time t',    x = cos(t') data + sin(t') noise.

B clips, C channels, T frames of latents, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput
from torch import Tensor

from interdiff.video.backbone.wan import TIMESTEPS
from interdiff.video.codec.codec import latent_frames
from interdiff.video.distillation.sampling import TIMES, fresh, rollout
from interdiff.video.distillation.trigflow import answering, level_of
from interdiff.video.pipeline_base import Callback, ClipsPipeline
from interdiff.video.pipeline_parts import PipelineCodec, denoiser


class StudentPipeline(ClipsPipeline):
    """Text to video in a few steps, without guidance.

    Args:
        tokenizer, text_encoder: of transformers.
        vae: Wan's, or the laptop's codec.
        transformer: the student.
        preconditioned: it was trained here, and scales its input and output; Wan's does not.
        smoothing: over time, of its guesses.
        frames, height, width: of a clip in latents. rows: L of embeddings. sentences: one for each.
        times: of TrigFlow, of the first step to the last, in (0, pi / 2].
        steps: what a call takes that names none: the first ones of `times`.
    """

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        vae: AutoencoderKLWan | PipelineCodec,
        tokenizer: Any = None,
        text_encoder: Any = None,
        preconditioned: bool = False,
        smoothing: Mapping[str, Any] | None = None,
        frames: int = 21,
        height: int = 60,
        width: int = 104,
        rows: int = 512,
        sentences: bool = False,
        times: Sequence[float] = TIMES,
        steps: int = len(TIMES),
    ) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, vae=vae, tokenizer=tokenizer, text_encoder=text_encoder)
        self.register_to_config(
            preconditioned=preconditioned,
            smoothing=smoothing,
            frames=frames,
            height=height,
            width=width,
            rows=rows,
            sentences=sentences,
            times=list(times),
            steps=steps,
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        output_type: str = "np",
        callback_on_step_end: Callback | None = None,
    ) -> WanPipelineOutput:
        """Clips of prompts.

        Args:
            num_frames: of the video, 1 + 4 k.
            generator: on the CPU: the same noise on every device.
            latents: noise [B, C, T, H, W] in place of the generator's, which makes that of later steps.
            prompt_embeds: [B, L, D], in place of texts.
            output_type: "np" [B, F, H, W, 3], "pt" [B, F, 3, H, W], "pil" lists of pictures, "latent" [B, C, T, H, W].
            callback_on_step_end: is told what each step made.

        Raises:
            ValueError: something cannot be sampled so (says what was expected).
        """
        config = self.config
        steps = config.steps if num_inference_steps is None else num_inference_steps
        if not 1 <= steps <= len(config.times):
            raise ValueError(
                f"num_inference_steps {steps}: expected 1 to {len(config.times)}, which the student learned"
            )
        count = config.frames if num_frames is None else latent_frames(num_frames)
        embed, latents, generator = self._given(prompt, prompt_embeds, count, latents, generator, output_type)
        frames = torch.arange(count, device=latents.device).expand(len(latents), -1)
        student = answering(denoiser(self.transformer, config.preconditioned, config.smoothing), embed, frames)
        times = torch.tensor(config.times[:steps], dtype=torch.float64, device=latents.device)
        more = fresh(latents, generator)
        with self.progress_bar(total=steps) as bar:
            after = self._after((TIMESTEPS * level_of(times)).tolist(), bar, callback_on_step_end)
            noises = [latents, *(more() for _ in times[1:])]
            z = rollout(student, noises, [t.expand(len(latents), 1) for t in times], after)
        self.maybe_free_model_hooks()
        return WanPipelineOutput(frames=self._decoded(z, output_type))
