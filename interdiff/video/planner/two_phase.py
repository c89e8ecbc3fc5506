"""Both phases end to end: prompt and noise -> keyframes' places -> keyframes -> filled clip -> refined clip.

B clips, C channels, T frames, K keyframes, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.nested_masks import levels_of_steps, nested_ranks
from interdiff.learning.draws import moved
from interdiff.two_phase.interpolation import place_keyframes
from interdiff.two_phase.sampler import refine_over_levels
from interdiff.video.backbone.flow_matching import After, Guidance, even_levels, take_frames, unchanged
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.distillation.sampling import few_passes, few_steps, fresh
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
    def exact(self) -> str: ...

    @property
    def distilled(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Choice:
    """Keyframes [B, K] int64 on the CPU, and costs [B, T, T] by number of keyframes, by which more of them are added."""

    indices: Tensor
    costs: Callable[[int], np.ndarray]


Chooser = Callable[[Tensor, Tensor], Choice]
"""(noise [B, C, T, H, W], embeddings [B, L, D]) -> which frames phase 1 makes."""


@dataclass(frozen=True)
class Sampled:
    """What both phases made: places [B, K], and clips [B, C, T, H, W] before and after phase 2."""

    indices: Tensor
    interpolated: Tensor
    refined: Tensor


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
    ) -> Sampled:
        """Clips of prompts [B, L, D] from noise [B, C, T, H, W].

        Args:
            truth: what they are in the data, where it is to be used.
            after: what each step has made goes through it: K frames in phase 1, T in phase 2.
        """
        settings = self.settings
        choice = self.choose(noise, embed)
        masks, indices = self._masks(choice), moved(choice.indices, noise.device)
        if settings.exact == "keyframes":
            assert truth is not None
            made = take_frames(truth, indices)
        else:
            made = self._keyframes(take_frames(noise, indices), embed, indices, generator, after)
        frames, shape = noise.shape[2], (noise.shape[1], *noise.shape[3:])
        anchors, _ = place_keyframes(flat(made), indices, frames)
        fill = filling_with(self.interpolator, shape)

        def project(x: Tensor) -> Tensor:
            return flat(after(unflat(x, shape)))

        if settings.exact == "rest":
            assert truth is not None
            known = masks[0].to(noise.device)[..., None]
            sequences = (torch.where(known, anchors, flat(truth)),) * 2
        elif self.refiner is not None and self.forced:
            filled, deviation = fill(anchors, masks[0])
            level = frame_levels(deviation, masks[0], none_exact(embed), self.forced)
            steps = settings.refiner_steps
            if "refiner" in settings.distilled:
                student = answering(
                    self.refiner, embed, torch.arange(frames, device=noise.device).expand(len(noise), -1)
                )
                given = unflat(filled, shape), noise, level[..., 0], steps, fresh(noise, generator), after
                sequences = filled, flat(few_passes(student, *given))
            else:
                noisy = partly_noisy(filled, flat(noise), level, masks[0])
                sequences = filled, denoise_frames(self.refiner, noisy, level, embed, shape, steps, project)
        elif self.refiner is not None:
            sequences = refine_over_levels(
                refine(self.refiner, embed, shape),
                anchors,
                masks,
                [settings.noise * self.trained_noise] * len(masks),
                fill,
                generator,
                project,
                still=True,
            )
        else:
            sequences = (fill(anchors, masks[0])[0],) * 2
        interpolated, refined = (unflat(x, shape) for x in sequences)
        return Sampled(choice.indices, interpolated, refined)

    def _keyframes(
        self, noise: Tensor, embed: Tensor, indices: Tensor, generator: torch.Generator, after: After
    ) -> Tensor:
        """Phase 1, or its student: the frames [B, C, K, H, W] from noise of that shape."""
        settings = self.settings
        if "keyframes" in settings.distilled:
            student = answering(self.keyframes, embed, indices)
            return few_steps(student, noise, settings.steps, fresh(noise, generator), after)
        levels = even_levels(settings.steps, settings.shift)
        return sample_keyframes(self.keyframes, noise, embed, indices, levels, self.guidance, after)

    def _masks(self, choice: Choice) -> list[Tensor]:
        """The masks [B, T] of phase 2's steps, nested, on the CPU; the first is that of the keyframes."""
        counts = levels_of_steps(self.levels, self.k, max(1, self.settings.refiner_steps))
        ranks = nested_ranks(choice.costs, counts, self.max_gap_factor, choice.indices.numpy())
        return [torch.from_numpy(ranks) <= level for level in range(len(counts))]
