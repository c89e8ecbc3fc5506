"""Arithmetic of a pass over longer and longer clips, dense and sparse, and of both phases' parts, counted from shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from interdiff.learning.costs import counted_flops
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import set_attention
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.sizes import Clip


def pass_flops(build: Callable[[], WanDenoiser], attention: AttentionSettings, clip: Clip, frames: int) -> int:
    """Of one pass over so many frames of a clip by a network of dense attention, which is built on the meta device."""
    with torch.device("meta"):
        model = build()
        set_attention(model.transformer, attention)
        z = torch.empty(1, clip.channels, frames, clip.height, clip.width)
        embed, places = torch.empty(1, clip.rows, clip.text_dim), torch.zeros(1, frames, dtype=torch.long)
        return counted_flops(lambda: model(z, torch.empty(1, 1), embed, places))


def pass_costs(
    build: Callable[[], WanDenoiser], kinds: Sequence[AttentionSettings], clip: Clip, frames: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """A row for each length and kind of attention: FLOPs, and these in dense passes over as long a clip."""
    for count in frames:
        dense = pass_flops(build, AttentionSettings(), clip, count)
        for attention in kinds:
            whole = attention.kind == "dense"
            flops = dense if whole else pass_flops(build, attention, clip, count)
            yield {
                "frames": count,
                "part": "pass",
                "attention": attention.kind,
                "keep": 1.0 if whole else attention.keep,
                "flops": flops,
                "full_step_units": flops / dense,
            }


def phase_costs(
    build: Callable[[], WanDenoiser],
    preview: Callable[[], WanDenoiser] | None,
    clip: Clip,
    frames: Sequence[int],
    counts: Sequence[int],
    passes: int,
) -> Iterator[dict[str, Any]]:
    """Rows as of `pass_costs`, for each length: the preview's look, and phase 1 in so many passes over K frames each."""
    dense = AttentionSettings()
    phase_1 = {f"phase 1, K = {k}": passes * pass_flops(build, dense, clip, k) for k in counts}
    for count in frames:
        whole = pass_flops(build, dense, clip, count)
        look = {"preview": pass_flops(preview, dense, clip, count)} if preview else {}
        for part, flops in (look | phase_1).items():
            share = {"flops": flops, "full_step_units": flops / whole}
            yield {"frames": count, "part": part, "attention": dense.kind, "keep": 1.0} | share
