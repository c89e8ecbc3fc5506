"""What lies between two latents: one interface for all interpolators.

An interpolator is given both endpoints, times between them and the gap, and answers with latents and with how far off it
expects to be at every place. `fill` runs one over all missing frames of a clip at once.

B clips or pairs, C channels, T frames, H x W latents, M moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from interdiff.learning.draws import moved
from interdiff.learning.precision import full_precision

SMALLEST = 1e-6
"""Expected errors weigh as if they were no smaller."""


@dataclass(frozen=True)
class Between:
    """Latents z [B, M, C, H, W] at M times between two endpoints, and the expected absolute error [B, M, H, W]."""

    z: Tensor
    error: Tensor


class Interpolator(Protocol):
    """What lies between two latents."""

    def __call__(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor, /) -> Between:
        """Latents between `first` and `last`.

        Args:
            first, last: [B, C, H, W].
            tau: [B, M] in (0, 1), 0 at `first`.
            gap: [B] latent frames from `first` to `last`, float.
        """
        ...


@runtime_checkable
class WithFallback(Interpolator, Protocol):
    """An interpolator with several answers, which gives at every place their mean, weighted by what it expects of each."""

    def answers(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor, /) -> Sequence[Between]:
        """Each answer, its own first; arguments as in `Interpolator`."""
        ...


def answers_of(model: Interpolator, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Sequence[Between]:
    """All answers of an interpolator; of most there is one."""
    if isinstance(model, WithFallback):
        return model.answers(first, last, tau, gap)
    return [model(first, last, tau, gap)]


def weighted(answers: Sequence[Between]) -> Between:
    """Answers weighted by the inverse squares of their expected errors: the mean of the least expected squared error, where
    errors are independent. The weighted mean of the errors bounds its own. One answer stays as it is.
    """
    if len(answers) == 1:
        return answers[0]
    errors = torch.stack([answer.error for answer in answers])
    shares = errors.clamp_min(SMALLEST).square().reciprocal()
    shares = shares / shares.sum(0)
    z = sum(share[:, :, None] * answer.z for share, answer in zip(shares, answers, strict=True))
    assert isinstance(z, Tensor)
    return Between(z, (shares * errors).sum(0))


@full_precision
def blend(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """(1 - share) first + share last: [B, C, H, W] twice, [B, M] -> [B, M, C, H, W]."""
    return torch.lerp(first[:, None], last[:, None], share[..., None, None, None])


def expected_error(first: Tensor, last: Tensor, tau: Tensor) -> Tensor:
    """What an interpolator without parameters can say: how much changes, times a Brownian bridge: [B, M, H, W]."""
    change = (last - first).abs().mean(1)
    return change[:, None] * (tau * (1 - tau)).sqrt()[..., None, None]


class WithoutParameters(nn.Module):
    """A function as an interpolator that has a checkpoint as others have."""

    def __init__(self, rule: Interpolator) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, first: Tensor, last: Tensor, tau: Tensor, gap: Tensor) -> Between:
        """As `Interpolator` says."""
        return self.rule(first, last, tau, gap)


def gaps(mask_bt: Tensor) -> Tensor:
    """Where masks with both ends set leave frames out: which clip, and the known frames on either side, [N, 3]."""
    clip, frame = mask_bt.nonzero(as_tuple=True)
    neighbours = torch.stack([clip[:-1], frame[:-1], frame[1:]], 1)
    return neighbours[(clip[1:] == clip[:-1]) & (frame.diff() > 1)]


def fill(z_bcthw: Tensor, mask_bt: Tensor, interpolator: Interpolator) -> tuple[Tensor, Tensor]:
    """Keeps the frames of the mask and fills the others between the anchors on either side.

    Args:
        z_bcthw: [B, C, T, H, W]; only the frames in the mask are read.
        mask_bt: [B, T] bool; both ends set. On the CPU, since it decides what runs: elsewhere it would be waited for.

    Returns:
        [B, C, T, H, W], and the expected absolute error [B, T, H, W], zero at anchors.
    """
    filled = z_bcthw.movedim(2, 1).clone()
    error = filled.new_zeros(filled[:, :, 0].shape)
    clip, left, right = gaps(mask_bt).unbind(1)
    # Gaps of one width together: an interpolator looks at each pair once, whatever lies between.
    for width in (right - left).unique().tolist():
        alike = right - left == width
        rows, start = moved(torch.stack([clip[alike], left[alike]]), filled.device)
        inside = torch.arange(1, width, device=filled.device)
        tau = (inside / width).to(filled).expand(len(rows), -1)
        between = interpolator(filled[rows, start], filled[rows, start + width], tau, tau.new_full((len(rows),), width))
        missing = rows[:, None], start[:, None] + inside
        filled[missing] = between.z.to(filled.dtype)
        error[missing] = between.error.to(error.dtype)
    return filled.movedim(1, 2), error
