"""What sampling costs: arithmetic, seconds, and both in steps of the backbone on all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from interdiff.learning.costs import counted_flops, forward_flops, median_milliseconds
from interdiff.learning.parallel import without_weights
from interdiff.video.attention.sparse_linear import reused_choices
from interdiff.video.backbone.wan import WanDenoiser


def sampling_costs(
    sample: Callable[..., object],
    seconds: float,
    model: WanDenoiser,
    noise: Tensor,
    embed: Tensor,
    *given: Tensor,
    shares: Sequence[float] = (1.0,),
    reuse: int = 1,
) -> dict[str, float]:
    """Costs per clip of sampling clips from noise [B, C, T, H, W] and embeddings, a batch of which took `seconds`.

    given: what else the sampler takes of each clip. shares: of all clips, that cost as much arithmetic as the first, the
    second, ... of these. reuse: steps that a choice of sparse attention serves.

    Returns:
        `flops` and `seconds` of a clip; `full_step_units` and `full_step_seconds`: both over those of one unguided pass of
        the backbone over all frames of the same clips, on the same machine.
    """
    frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
    level = noise.new_full((len(noise), 1), 0.5)
    flops = sum(
        share * sampling_flops(sample, *(x[row : row + 1] for x in (noise, embed, *given)), reuse=reuse)
        for row, share in enumerate(shares)
    )
    with torch.no_grad():
        step_seconds = median_milliseconds(lambda n: model(noise, level, embed, frames)) / 1e3
    return {
        "flops": flops,
        "seconds": seconds / len(noise),
        "full_step_units": flops / forward_flops(model, noise[:1], level[:1], embed[:1], frames[:1]),
        "full_step_seconds": seconds / step_seconds,
    }


def sampling_flops(sample: Callable[..., object], *given: Tensor, reuse: int = 1) -> int:
    """Of sampling a batch. Denoisers do not run: they answer zeros, and are counted from the shapes of what they are given."""
    asked: dict[WanDenoiser, list[list[Tensor]]] = {}

    def answer(network: WanDenoiser, *inputs: Tensor, correction: bool = False) -> Tensor:
        asked.setdefault(network, []).append([given.to("meta") for given in inputs])
        return torch.zeros_like(inputs[0])

    with _answering(answer):
        others = counted_flops(lambda: sample(*given))
    return others + sum(_passes_flops(network, passes, reuse) for network, passes in asked.items())


def _passes_flops(network: WanDenoiser, passes: Sequence[Sequence[Tensor]], reuse: int) -> int:
    """Of a network's passes one after the other, in one sampling."""
    if reuse == 1:
        return sum(forward_flops(network, *inputs) for inputs in passes)
    copied = without_weights(network).to("meta")
    with reused_choices([copied], reuse):
        return counted_flops(lambda: [copied(*inputs) for inputs in passes])


@contextmanager
def _answering(answer: Callable[..., Tensor]) -> Iterator[None]:
    """Denoisers answer by a function."""
    forward = WanDenoiser.forward
    WanDenoiser.forward = answer  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        WanDenoiser.forward = forward  # type: ignore[method-assign]
