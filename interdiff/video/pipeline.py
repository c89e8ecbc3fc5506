"""Both phases as a pipeline of diffusers: `TwoPhasePipeline.from_pretrained(folder)("a red circle moves up").frames`.

`python -m interdiff.workflow.export` makes such a folder. It runs where torch, diffusers with accelerate (without which it
loads no Wan) and, for prompts, transformers are.

B clips, C channels, T frames of latents, K keyframes, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.utils import BaseOutput
from torch import Tensor

from interdiff.video.backbone.flow_matching import Guidance
from interdiff.video.backbone.wan import TIMESTEPS
from interdiff.video.codec.codec import latent_frames
from interdiff.video.pipeline_base import Callback, ClipsPipeline
from interdiff.video.pipeline_parts import (
    PipelineCodec,
    PipelineInterpolator,
    PipelineSampling,
    PipelineSchedule,
    PipelineSelector,
    denoiser,
)
from interdiff.video.planner.preview import Preview
from interdiff.video.planner.two_phase import Choice, Chooser, TwoPhase


@dataclass
class TwoPhaseOutput(BaseOutput):
    """What was made.

    Attributes:
        frames: clips of the output type: "np" [B, F, H, W, 3] and "pt" [B, F, 3, H, W] in [0, 1], "pil" lists of pictures,
            "latent" [B, C, T, H, W].
        keyframes: which latent frames phase 1 made, [B, K] int64.
    """

    frames: Any
    keyframes: Tensor


class TwoPhasePipeline(ClipsPipeline):
    """Text to video in two phases: K keyframes, what lies between, and a refinement of the whole clip.

    Args:
        tokenizer, text_encoder: of transformers.
        vae: Wan's, or the laptop's codec.
        transformer, transformer_2: of phase 1 and of phase 2; without the second, filled clips stand.
        interpolator: what fills.
        selector: who chooses keyframes; preview: by which it looks at the noise, if it does.
        preconditioned: the transformers were trained here, and scale their input and output; Wan's do not.
        smoothing: over time, of their guesses.
        frames, height, width: of a clip in latents. rows: L of embeddings. sentences: one for each.
        keyframes, keyframe_steps, refiner_steps, guidance_scale, negative_prompt: what a call takes that names nothing else.
        shift, guided_below: of phase 1's noise levels, and the level above which it is not guided.
        start: the level that it starts at; below 1 from what the preview shows.
        noise, trained_noise: share of phase 2's training noise that is added, and that noise; forced: or its levels.
        levels, max_gap_factor: numbers of keyframes of phase 2's masks, coarse to fine, and their longest gap in uniform gaps.
        preview_level: noise level that the preview takes noise for.
        distilled: phases, "keyframes" and "refiner", whose transformers are students.
    """

    _optional_components: ClassVar[list[str]] = ["transformer_2", "preview", "tokenizer", "text_encoder"]

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        vae: AutoencoderKLWan | PipelineCodec,
        interpolator: PipelineInterpolator,
        selector: PipelineSelector | PipelineSchedule,
        tokenizer: Any = None,
        text_encoder: Any = None,
        transformer_2: WanTransformer3DModel | None = None,
        preview: WanTransformer3DModel | None = None,
        preconditioned: bool = False,
        smoothing: Mapping[str, Any] | None = None,
        frames: int = 21,
        height: int = 60,
        width: int = 104,
        rows: int = 512,
        sentences: bool = False,
        keyframes: int = 4,
        keyframe_steps: int = 4,
        refiner_steps: int = 1,
        guidance_scale: float = 1.0,
        negative_prompt: str = "",
        shift: float = 3.0,
        guided_below: float = 1.0,
        start: float = 1.0,
        noise: float = 1.0,
        trained_noise: float = 0.5,
        forced: list[float] | None = None,
        levels: list[int] | None = None,
        max_gap_factor: float = 3.0,
        preview_level: float = 0.9,
        distilled: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            interpolator=interpolator,
            selector=selector,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            transformer_2=transformer_2,
            preview=preview,
        )
        self.register_to_config(
            preconditioned=preconditioned,
            smoothing=smoothing,
            frames=frames,
            height=height,
            width=width,
            rows=rows,
            sentences=sentences,
            keyframes=keyframes,
            keyframe_steps=keyframe_steps,
            refiner_steps=refiner_steps,
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            shift=shift,
            guided_below=guided_below,
            start=start,
            noise=noise,
            trained_noise=trained_noise,
            forced=forced,
            levels=levels or [keyframes],
            max_gap_factor=max_gap_factor,
            preview_level=preview_level,
            distilled=list(distilled or []),
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        num_frames: int | None = None,
        keyframes: int | Sequence[int] | None = None,
        keyframe_steps: int | None = None,
        refiner_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "np",
        callback_on_step_end: Callback | None = None,
    ) -> TwoPhaseOutput:
        """Clips of prompts.

        Args:
            num_frames: of the video, 1 + 4 k; a selector knows one number of them.
            keyframes: how many latent frames phase 1 makes, or which, from 0 to T - 1.
            keyframe_steps, refiner_steps: of phase 1, and of phase 2; 0 of the latter leaves the filled clip as it is.
            generator: on the CPU: the same noise on every device.
            latents: noise [B, C, T, H, W] in place of the generator's.
            prompt_embeds, negative_prompt_embeds: [B, L, D] and [L, D], in place of texts.
            callback_on_step_end: is told what each step of both phases made.

        Raises:
            ValueError: something cannot be sampled so (says what was expected).
        """
        config = self.config
        frames = self._latent_frames(num_frames)
        embed, latents, generator = self._given(prompt, prompt_embeds, frames, latents, generator, output_type)
        scale = config.guidance_scale if guidance_scale is None else guidance_scale
        negative = negative_prompt_embeds
        if negative is None:
            text = config.negative_prompt if negative_prompt is None else negative_prompt
            negative = embed[0] if scale == 1 else self.encode_prompt(text)[0]
        if keyframes is None:
            keyframes = config.keyframes
        sampling = PipelineSampling(
            k=len(keyframes) if isinstance(keyframes, Sequence) else keyframes,
            steps=config.keyframe_steps if keyframe_steps is None else keyframe_steps,
            shift=config.shift,
            start=config.start,
            refiner_steps=config.refiner_steps if refiner_steps is None else refiner_steps,
            noise=config.noise,
            distilled=config.distilled,
        )
        sampling.check(scale)
        both = self._two_phase(sampling, Guidance(scale, negative, config.guided_below))
        if isinstance(keyframes, Sequence):
            both = replace(both, choose=_chosen(both.choose, keyframes, frames))
        times = [TIMESTEPS * level for level in sampling.keyframe_levels] + [0.0] * sampling.refiner_steps
        with self.progress_bar(total=len(times)) as bar:
            sampled = both.sample(latents, embed, generator, after=self._after(times, bar, callback_on_step_end))
        self.maybe_free_model_hooks()
        return TwoPhaseOutput(frames=self._decoded(sampled.refined, output_type), keyframes=sampled.indices)

    def _latent_frames(self, num_frames: int | None) -> int:
        frames: int = self.config.frames if num_frames is None else latent_frames(num_frames)
        if frames != self.selector.config.frames:
            known = 1 + 4 * (self.selector.config.frames - 1)
            raise ValueError(f"num_frames {num_frames}: the selector knows clips of {known} frames")
        return frames

    def _two_phase(self, sampling: PipelineSampling, guidance: Guidance) -> TwoPhase:
        config = self.config
        if sampling.refiner_steps and self.transformer_2 is None:
            raise ValueError(f"refiner_steps {sampling.refiner_steps}: expected 0 without transformer_2")
        made_here = config.preconditioned, config.smoothing
        preview = self.preview and Preview(denoiser(self.preview, *made_here), config.preview_level)
        return TwoPhase(
            k=sampling.k,
            choose=self.selector.chooser(preview),
            keyframes=denoiser(self.transformer, *made_here),
            interpolator=self.interpolator,
            refiner=denoiser(self.transformer_2, *made_here) if sampling.refiner_steps else None,
            guidance=guidance,
            settings=sampling,
            levels=config.levels,
            max_gap_factor=config.max_gap_factor,
            trained_noise=config.trained_noise,
            forced=config.forced,
        )


def _chosen(choose: Chooser, places: Sequence[int], frames: int) -> Chooser:
    """Given keyframes, and where more of them would go by who would have chosen."""
    if sorted({*places, 0, frames - 1}) != list(places):
        raise ValueError(f"keyframes {list(places)}: expected increasing places from 0 to {frames - 1}, both included")

    def chosen(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Choice:
        indices = torch.tensor(places, device="cpu").expand(len(noise), -1)
        return replace(choose(noise, embed, truth), indices=lambda k: indices)

    return chosen
