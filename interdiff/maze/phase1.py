"""Phase 1 end to end: from conditions and an index policy to keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from interdiff.checkpoint import load_checkpoint
from interdiff.diffusion import keyframe_scheduler
from interdiff.maze.data import Prepared
from interdiff.maze.keypoints import KeypointDenoiser, sample_keypoints
from interdiff.maze.segment_cost import SegmentCostModel, difficulty
from interdiff.maze.selector import KeyframeSelector


@dataclass(frozen=True)
class Phase1:
    """The three networks that phase 1 needs, and its noise schedule."""

    segment_cost: SegmentCostModel
    selector: KeyframeSelector
    keypoints: KeypointDenoiser
    scheduler: DDIMScheduler

    @torch.no_grad()
    def keypoints_at(
        self, data: Prepared, rows: Tensor, indices_bk: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """Keypoints [B, K, 4] in normalised units for rows of one layout at their frames [B, K]."""
        condition = data.condition(rows)
        hardness = difficulty(self.segment_cost, self.segment_cost(condition), indices_bk)
        return sample_keypoints(self.keypoints, self.scheduler, condition, indices_bk, hardness, steps, generator)

    def keypoints_of(
        self, data: Prepared, chunks: Iterable[Tensor], indices_nk: Tensor, steps: int, generator: torch.Generator
    ) -> Tensor:
        """Keypoints of all rows, chunk by chunk: [N, K] -> [N, K, 4]."""
        return torch.cat([self.keypoints_at(data, rows, indices_nk[rows], steps, generator) for rows in chunks])


def load_segment_cost(folder: Path, data: Prepared) -> SegmentCostModel:
    """D_phi for sequences of the data's length, on its device; so are the others."""
    return load_checkpoint(folder, "segment_cost", lambda c: SegmentCostModel(**c), data.device, frames=data.frames)


def load_selector(folder: Path, data: Prepared) -> KeyframeSelector:
    return load_checkpoint(folder, "selector", lambda c: KeyframeSelector(**c), data.device, frames=data.frames)


def load_keypoints(folder: Path, data: Prepared) -> KeypointDenoiser:
    return load_checkpoint(folder, "keypoints", lambda c: KeypointDenoiser(**c), data.device, frames=data.frames)


def load_phase1(folder: Callable[[str], Path], data: Prepared) -> Phase1:
    """Phase 1 from its three checkpoints, whose folders `folder` gives by their stages' names."""
    return Phase1(
        load_segment_cost(folder("segment_cost"), data),
        load_selector(folder("selector"), data),
        load_keypoints(folder("keypoints"), data),
        keyframe_scheduler(),
    )
