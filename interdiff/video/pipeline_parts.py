"""What a pipeline of diffusers keeps in folders of its own: the interpolator, the ways to choose keyframes, the laptop's codec.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import Tensor

from interdiff.video.backbone.flow_matching import even_levels
from interdiff.video.backbone.smoothing import Smoothing
from interdiff.video.backbone.wan import FewTokens, WanDenoiser
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.distillation.sampling import TIMES
from interdiff.video.distillation.trigflow import level_of
from interdiff.video.interpolators.interpolator import Between
from interdiff.video.interpolators.loading import build_interpolator
from interdiff.video.planner.choosers import by_selector, without_looking
from interdiff.video.planner.preview import Preview
from interdiff.video.planner.selector import VideoSelector
from interdiff.video.planner.two_phase import Chooser


@dataclass(frozen=True)
class PipelineSampling:
    """How both phases are sampled: K, steps, shift and first level of phase 1, steps of phase 2 and its share of noise.

    distilled: phases whose networks are students.
    """

    k: int
    steps: int
    shift: float
    start: float
    refiner_steps: int
    noise: float
    distilled: Sequence[str]
    exact: str = "nothing"
    reuse: int = 1

    def check(self, guidance: float) -> None:
        """ValueError where a student cannot be sampled so."""
        if "keyframes" in self.distilled and (not 1 <= self.steps <= len(TIMES) or guidance != 1):
            found = f"keyframe_steps {self.steps}, guidance_scale {guidance}"
            raise ValueError(f"{found}: a student takes 1 to {len(TIMES)} steps and scale 1")

    @property
    def keyframe_levels(self) -> list[float]:
        """The noise levels that phase 1's steps start from."""
        if "keyframes" in self.distilled:
            levels: list[float] = level_of(torch.tensor(TIMES[: self.steps], dtype=torch.float64)).tolist()
            return levels
        return even_levels(self.steps, self.shift, self.start)[:-1]


class PipelineInterpolator(ModelMixin, ConfigMixin):
    """An interpolator; with the arguments of `build_interpolator`."""

    @register_to_config
    def __init__(
        self,
        method: str,
        size: Mapping[str, Any],
        around: Mapping[str, Any] | None = None,
        scales: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.network = build_interpolator(method, size, around, scales)

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        between: Between = self.network(first, last, tau, gap)
        return between


class PipelineSelector(ModelMixin, ConfigMixin):
    """A selector; with the arguments of `VideoSelector`."""

    @register_to_config
    def __init__(
        self,
        frames: int,
        features: int,
        looks: bool,
        max_gap_factor: float,
        text_dim: int,
        text: str,
        d_model: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        size = {"text_dim": text_dim, "text": text, "d_model": d_model, "depth": depth, "heads": heads}
        self.network = VideoSelector(frames, features, looks, max_gap_factor, **size)

    def chooser(self, preview: Preview | None) -> Chooser:
        """Who chooses keyframes."""
        return by_selector(self.network, preview)


class PipelineSchedule(SchedulerMixin, ConfigMixin):
    """Keyframes that neither prompt nor noise decide.

    Args:
        policy: "fixed", "uniform" or "random".
        frames: T.
        costs: of the T (T - 1) / 2 segments of a clip, means over training clips, the first frame's segments first.
        seed: of random keyframes.
    """

    @register_to_config
    def __init__(self, policy: str, frames: int, costs: Sequence[float], max_gap_factor: float, seed: int) -> None:
        pass

    def chooser(self, preview: Preview | None) -> Chooser:
        """Who chooses keyframes."""
        config = self.config
        cost = np.full((1, config.frames, config.frames), np.inf, np.float32)
        cost[:, *np.triu_indices(config.frames, 1)] = config.costs
        return without_looking(config.policy, cost, config.max_gap_factor, config.seed)


class PipelineCodec(ModelMixin, ConfigMixin):
    """The laptop's codec."""

    @register_to_config
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.network = LinearCodec(factor)

    @property
    def factor(self) -> int:
        return self.network.factor

    def encode(self, video_bthwc: Tensor) -> Tensor:
        return self.network.encode(video_bthwc)

    def decode(self, z_bcthw: Tensor) -> Tensor:
        return self.network.decode(z_bcthw)


def denoiser(
    transformer: WanTransformer3DModel, preconditioned: bool, smoothing: Mapping[str, Any] | None
) -> WanDenoiser:
    """A transformer as a denoiser, with the attention of those that are trained here where it is one.

    smoothing: `error` and `weights` of `Smoothing`.
    """
    if preconditioned:
        processor: Any = FewTokens()
        transformer.set_attn_processor(processor)
    return WanDenoiser(transformer, preconditioned, Smoothing(**smoothing) if smoothing else None)
