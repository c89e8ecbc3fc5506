"""Phase 1 end to end: from conditions and an index policy to keyframes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interdiff.learning.checkpoints import load_checkpoint
from interdiff.learning.own_networks import OwnNetwork
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import KeyframeDenoiser, build_keyframes, plan_keyframes
from interdiff.maze.planner.segment_cost import SegmentCostModel, difficulty
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.two_phase.ddim import DDIM
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler


@dataclass(frozen=True)
class Phase1:
    """The three networks that phase 1 needs, and its noise schedule."""

    segment_cost: SegmentCostModel
    selector: KeyframeSelector
    keyframes: KeyframeDenoiser | OwnNetwork
    scheduler: DDIM

    @torch.no_grad()
    def keyframes_at(
        self, data: Prepared, rows: Tensor, indices_bk: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """Keyframes [B, K, 4] in normalised units for rows of one layout at their frames [B, K]."""
        condition = data.condition(rows)
        hardness = difficulty(self.segment_cost, self.segment_cost(condition), indices_bk)
        return plan_keyframes(self.keyframes, self.scheduler, condition, indices_bk, hardness, steps, generator)

    def keyframes_of(
        self, data: Prepared, chunks: Iterable[Tensor], indices_nk: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """Keyframes of all rows, chunk by chunk: [N, K] -> [N, K, 4]."""
        return torch.cat([self.keyframes_at(data, rows, indices_nk[rows], steps, generator) for rows in chunks])


def load_segment_cost(folder: Path, data: Prepared) -> SegmentCostModel:
    """D_phi for sequences of the data's length, on its device; so are the others."""
    return load_checkpoint(folder, "segment_cost", lambda c: SegmentCostModel(**c), data.device, frames=data.frames)


def load_selector(folder: Path, data: Prepared) -> KeyframeSelector:
    return load_checkpoint(folder, "selector", lambda c: KeyframeSelector(**c), data.device, frames=data.frames)


def load_keyframes(folder: Path, data: Prepared) -> KeyframeDenoiser | OwnNetwork:
    return load_checkpoint(folder, "keyframes", lambda c: build_keyframes(**c), data.device, frames=data.frames)


def load_phase1(folder: Callable[[str], Path], data: Prepared) -> Phase1:
    """Phase 1 from its three checkpoints, whose folders `folder` gives by their stages' names."""
    return Phase1(
        load_segment_cost(folder("segment_cost"), data),
        load_selector(folder("selector"), data),
        load_keyframes(folder("keyframes"), data),
        keyframe_scheduler(),
    )
