"""The corruption that phase 2 undoes, one definition for training and sampling.

Degrading a sequence to a mask keeps its anchors and interpolates the rest. In training the anchors carry the errors that
phase 1 makes: its cached error is interpolated over time and added to the clean sequence before degrading. That is what
cold diffusion's update (Bansal et al. 2022, algorithm 2) arrives at when phase 1's anchors are wrong and the refiner is
right, so each level sees in training what it will meet in sampling.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interdiff.keyframes.shapes import check_shapes
from interdiff.learning import draws
from interdiff.learning.draws import Stream
from interdiff.two_phase.interpolation import Fill, interpolate, place_keyframes


def degrade(
    x_btc: Tensor,
    mask_bt: Tensor,
    fill: Fill,
    sigma: Tensor | float,
    stream: Stream,
    still: bool = False,
) -> tuple[Tensor, Tensor]:
    """Fill the frames outside the mask [B, T] and add noise of `sigma` [B, 1, 1] times their deviation; with the deviation."""
    check_shapes("x_btc B T C, mask_bt B T", x_btc, mask_bt)
    filled, deviation = fill(x_btc, mask_bt)
    return with_noise(filled, deviation, sigma, stream, still), deviation


def with_noise(filled_btc: Tensor, deviation_btc: Tensor, sigma: Tensor | float, stream: Stream, still: bool) -> Tensor:
    """Filled sequences with noise of `sigma` [B, 1, 1] times their deviation.

    still: all frames of a sequence get the same draw, so what follows from it does not flicker.
    """
    drawn = filled_btc[:, :1] if still else filled_btc
    return filled_btc + sigma * deviation_btc * draws.normal(drawn.shape, stream, drawn.device)


def with_anchor_errors(
    clean_btc: Tensor,
    cached_bkc: Tensor,
    indices_bk: Tensor,
    method: str,
    probability: float,
    jitter: float,
    stream: Stream,
) -> tuple[Tensor, Tensor]:
    """The clean sequence moved by phase 1's errors, for a share of the batch; by random jitter for the rest.

    Args:
        clean_btc: [B, T, C].
        cached_bkc: [B, K, C], phase 1's keyframes for the same condition.
        indices_bk: [B, K] int64, their frames.
        method: a spline, which must spread the errors as it spreads the anchors that carry them.
        probability: of using a sample's cached errors; the anchors of the others count as exact.
        jitter: standard deviation of the random errors (at the interior keyframes) that exact anchors are allowed.

    Returns:
        [B, T, C]: clean + error, the error interpolated by `method` between the keyframes and zero at both ends'
        positions where phase 1 is exact; and [B] bool, whether a sample's anchors are exact.
    """
    check_shapes("clean_btc B T C, cached_bkc B K C, indices_bk B K", clean_btc, cached_bkc, indices_bk)
    batch, frames, _ = clean_btc.shape
    device = clean_btc.device
    cached_error = cached_bkc - clean_btc.gather(1, indices_bk[..., None].expand_as(cached_bkc))
    random_error = jitter * draws.normal(cached_error.shape, stream, device)
    random_error[:, [0, -1]] = 0
    use_cached = draws.uniform((batch, 1, 1), stream, device) < probability
    error, mask = place_keyframes(torch.where(use_cached, cached_error, random_error), indices_bk, frames)
    return clean_btc + interpolate(error, mask, method), ~use_cached[:, 0, 0]
