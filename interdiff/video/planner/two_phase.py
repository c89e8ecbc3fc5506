"""Both phases end to end: prompt and noise -> keyframes' places -> keyframes -> filled clip -> refined clip.

B clips, C channels, T frames, K keyframes, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.nested_masks import levels_of_steps, nested_ranks
from interdiff.learning.draws import moved
from interdiff.two_phase.interpolation import Fill, place_keyframes
from interdiff.two_phase.sampler import refine_over_levels
from interdiff.video.attention.sparse_linear import reused_choices
from interdiff.video.backbone.flow_matching import After, Guidance, even_levels, noisy, take_frames, unchanged
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.distillation.sampling import Renoise, few_passes, few_steps, fresh
from interdiff.video.distillation.trigflow import answering
from interdiff.video.planner.forcing import denoise_frames, frame_levels, partly_noisy
from interdiff.video.planner.keyframes import sample_keyframes
from interdiff.video.planner.refiner import filling_with, flat, none_exact, refine, unflat


class Sampling(Protocol):
    """How both phases are sampled at any K, of `SamplingSettings`."""

    @property
    def steps(self) -> int: ...

    @property
    def shift(self) -> float: ...

    @property
    def refiner_steps(self) -> int: ...

    @property
    def noise(self) -> float: ...

    @property
    def start(self) -> float: ...

    @property
    def exact(self) -> str: ...

    @property
    def reuse(self) -> int: ...

    @property
    def distilled(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Choice:
    """By number K of keyframes: which they are, [B, K] int64 on the CPU, and costs [B, T, T] by which more are added.

    seen: [B, C, T, H, W], what the clips will become, where who chose had a look at the noise.
    """

    indices: Callable[[int], Tensor]
    costs: Callable[[int], np.ndarray]
    seen: Tensor | None = None

    def of(self, rows: Tensor) -> Choice:
        """That for some of the clips."""
        seen = None if self.seen is None else self.seen[moved(rows, self.seen.device)]
        return Choice(lambda k: self.indices(k)[rows], lambda k: self.costs(k)[rows.numpy()], seen)


Chooser = Callable[[Tensor, Tensor, Tensor | None], Choice]
"""(noise [B, C, T, H, W], embeddings [B, L, D], the data's own clips or None) -> which frames phase 1 makes."""


@dataclass(frozen=True)
class Sampled:
    """What both phases made: places [B, K], and clips [B, C, T, H, W] before and after phase 2."""

    indices: Tensor
    interpolated: Tensor
    refined: Tensor


@dataclass(frozen=True)
class Clips:
    """Noise [B, C, T, H, W], prompts [B, L, D], where more noise comes from, and what each step's result goes through."""

    noise: Tensor
    embed: Tensor
    generator: torch.Generator
    after: After

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W], a frame's."""
        _, channels, _, height, width = self.noise.shape
        return channels, height, width

    @property
    def renoise(self) -> Renoise:
        """More noise of that shape."""
        return fresh(self.noise, self.generator)

    def project(self, x_btc: Tensor) -> Tensor:
        """`after`, of sequences [B, T, C H W]."""
        return flat(self.after(unflat(x_btc, self.shape)))


@dataclass(frozen=True)
class TwoPhase:
    """The networks of both phases, what fills between them, and how they are sampled; without a refiner, filled clips stand.

    keyframes, refiner: the students of these phases, where the settings say so.
    forced: the noise levels of missing frames that phase 2 starts from, where it learned by forcing, or is a student.
    """

    k: int
    choose: Chooser
    keyframes: WanDenoiser
    interpolator: nn.Module
    refiner: WanDenoiser | None
    guidance: Guidance
    settings: Sampling
    levels: Sequence[int]
    max_gap_factor: float
    trained_noise: float
    forced: tuple[float, float] | None = None

    @torch.no_grad()
    def sample(
        self,
        noise: Tensor,
        embed: Tensor,
        generator: torch.Generator,
        truth: Tensor | None = None,
        after: After = unchanged,
        choice: Choice | None = None,
    ) -> Sampled:
        """Clips of prompts [B, L, D] from noise [B, C, T, H, W].

        Args:
            truth: what they are in the data, where it is to be used.
            after: what each step has made goes through it: K frames in phase 1, T in phase 2.
            choice: of keyframes, where it was made before.
        """
        clips = Clips(noise, embed, generator, after)
        with reused_choices([self.keyframes, self.refiner], self.settings.reuse):
            return self._sample(clips, truth, choice or self.choose(noise, embed, truth))

    def _sample(self, clips: Clips, truth: Tensor | None, choice: Choice) -> Sampled:
        exact, noise, embed = self.settings.exact, clips.noise, clips.embed
        chosen = choice.indices(self.k)
        masks, indices = self._masks(choice), moved(chosen, noise.device)
        if exact == "keyframes":
            assert truth is not None
            made = take_frames(truth, indices)
        else:
            seen = None if choice.seen is None else take_frames(choice.seen, indices)
            made = self._keyframes(replace(clips, noise=take_frames(noise, indices)), indices, seen)
        anchors, _ = place_keyframes(flat(made), indices, noise.shape[2])
        fill = filling_with(self.interpolator, clips.shape)
        if exact == "rest":
            assert truth is not None
            known = moved(masks[0], noise.device)[..., None]
            filled = refined = torch.where(known, anchors, flat(truth))
        elif self.refiner is None:
            filled = refined = fill(anchors, masks[0])[0]
        elif self.forced:
            filled, deviation = fill(anchors, masks[0])
            level = frame_levels(deviation, masks[0], none_exact(embed), self.forced)
            refined = self._from_levels(self.refiner, clips, filled, level, masks[0])
        else:
            filled, refined = self._over_masks(self.refiner, clips, anchors, masks, fill)
        return Sampled(chosen, unflat(filled, clips.shape), unflat(refined, clips.shape))

    def _keyframes(self, clips: Clips, indices: Tensor, seen: Tensor | None) -> Tensor:
        """Phase 1, or its student: the frames [B, C, K, H, W] from noise and maybe from what a look shows, of that shape."""
        settings = self.settings
        if "keyframes" in settings.distilled:
            student = answering(self.keyframes, clips.embed, indices)
            return few_steps(student, clips.noise, settings.steps, clips.renoise, clips.after)
        levels, start = even_levels(settings.steps, settings.shift, settings.start), clips.noise
        if settings.start < 1:
            assert seen is not None
            start = noisy(seen, start, start.new_full((len(start), 1), settings.start))
        return sample_keyframes(self.keyframes, start, clips.embed, indices, levels, self.guidance, clips.after)

    def _over_masks(
        self, refiner: WanDenoiser, clips: Clips, anchors: Tensor, masks: Sequence[Tensor], fill: Fill
    ) -> tuple[Tensor, Tensor]:
        """Phase 2 by a pass for each mask [B, T]: the filled and the refined sequences [B, T, C H W]."""
        return refine_over_levels(
            refine(refiner, clips.embed, clips.shape),
            anchors,
            masks,
            [self.settings.noise * self.trained_noise] * len(masks),
            fill,
            clips.generator,
            clips.project,
            still=True,
        )

    def _from_levels(self, refiner: WanDenoiser, clips: Clips, filled: Tensor, level: Tensor, mask: Tensor) -> Tensor:
        """Phase 2, or its student, from the noise levels [B, T, 1] of filled sequences' frames."""
        steps, frames = self.settings.refiner_steps, clips.noise.shape[2]
        if "refiner" in self.settings.distilled:
            places = torch.arange(frames, device=level.device).expand(len(level), -1)
            student = answering(refiner, clips.embed, places)
            given = unflat(filled, clips.shape), clips.noise, level[..., 0], steps, clips.renoise, clips.after
            return flat(few_passes(student, *given))
        noisy = partly_noisy(filled, flat(clips.noise), level, mask)
        return denoise_frames(refiner, noisy, level, clips.embed, clips.shape, steps, clips.project)

    def _masks(self, choice: Choice) -> list[Tensor]:
        """The masks [B, T] of phase 2's steps, nested, on the CPU: first that of the keyframes, by levels no other."""
        counts = levels_of_steps(self.levels, self.k, 1 if self.forced else max(1, self.settings.refiner_steps))
        ranks = nested_ranks(choice.costs, counts, self.max_gap_factor, choice.indices(self.k).numpy())
        return [torch.from_numpy(ranks) <= level for level in range(len(counts))]
