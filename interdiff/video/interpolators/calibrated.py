"""Expected errors that are in the mean the true ones on held-out clips, gap by gap, of any interpolator.

B pairs, M moments, A answers, G gaps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interdiff.video.interpolators.interpolator import Between, Interpolator, answers_of, weighted

SHORTEST = 2
"""Latent frames of the least gap that leaves a frame out."""


class Calibrated(nn.Module):
    """An interpolator whose expected errors are multiplied by `scales` [A, G], of each answer and gap from 2 frames on.

    Wider gaps get the last one's. Of several answers the choice is after that: on clips that it has learned, an interpolator
    expects too much of its own.
    """

    scales: Tensor

    def __init__(self, inside: Interpolator, answers: int, gaps: int) -> None:
        super().__init__()
        self.inside = inside
        self.register_buffer("scales", torch.ones(answers, gaps))

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        return weighted(self.answers(first, last, tau, gap))

    def answers(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> list[Between]:
        """As `WithFallback` says."""
        at = (gap.round().long() - SHORTEST).clamp(0, self.scales.shape[1] - 1)
        scales_abm = self.scales[:, at, None, None, None]
        answers = answers_of(self.inside, first, last, tau, gap)
        return [Between(answer.z, answer.error * scale) for answer, scale in zip(answers, scales_abm, strict=True)]
