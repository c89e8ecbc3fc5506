"""What phase 2 learns: the clean sequence, off the walls, from sequences corrupted as in sampling.

B samples of N rows, T frames, K keyframes, C = 4 channels (position and velocity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.learning import draws
from interdiff.learning.processes import share
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition, sample_sdf, to_network
from interdiff.maze.planner.refiner import OwnRefiner, Refiner
from interdiff.maze.planner.settings import RefinerSettings
from interdiff.two_phase.corruption import degrade, with_anchor_errors
from interdiff.two_phase.interpolation import filling

ERROR_FLOOR = 1e-4
"""Squared error, network units, below which samples count alike."""


def wall_penetration(x_btc: Tensor, sdf: Tensor, margin: float) -> Tensor:
    """Mean squared depth, in world units, of points and of the middles of pieces below `margin` from a wall."""
    positions = x_btc[..., :2]
    middles = 0.5 * (positions[:, 1:] + positions[:, :-1])
    distance = sample_sdf(sdf, torch.cat([positions, middles], dim=1))
    return F.relu(margin - distance).square().mean()


@dataclass(frozen=True)
class MaskedAnchors:
    """Nested masks for a data set and phase 1's keyframes at their coarsest level.

    ranks [N, T] uint8, levels: the keyframe counts of its levels, indices [N, K] int64 and keyframes [N, K, 4] cached
    from phase 1, share: how often to draw it.
    """

    ranks: Tensor
    levels: Sequence[int]
    indices: Tensor
    keyframes: Tensor
    share: float


@dataclass(frozen=True)
class RefinerBatch:
    """Sequences [B, T, C], clean and corrupted, with their weights [B, 1, 1], the masks [B, T] of their anchors and whether
    these are exact [B].
    """

    clean: Tensor
    degraded: Tensor
    weights: Tensor
    mask: Tensor
    exact: Tensor
    condition: Condition
    collision_weight: float
    collision_margin: float


def sample_weights(degraded_btc: Tensor, clean_btc: Tensor) -> Tensor:
    """Weights [B, 1, 1] of mean one, over the root of each sample's position error before refinement.

    Errors span two orders of magnitude, from exact anchors in a small maze to phase 1's in a large one. Unweighted, the
    large ones leave the refiner blunt where interpolation is already good.
    """
    before = (to_network(degraded_btc) - to_network(clean_btc))[..., :2].square().mean((1, 2), keepdim=True)
    weights = (before + ERROR_FLOOR) ** -0.25
    return weights / weights.mean()


@dataclass(frozen=True)
class CorruptedSequences:
    """Training data corrupted as in sampling, over random nested masks and levels."""

    data: Prepared
    anchors: Sequence[MaskedAnchors]
    settings: RefinerSettings

    def draw(self, generator: torch.Generator, progress: float) -> RefinerBatch:
        """Rows, masks of a random level, errors of anchors and noise on missing frames."""
        settings, corruption = self.settings, self.settings.corruption
        rows = self.data.random_rows(settings.training.batch_size, generator)
        drawn = self.anchors[int(draws.weighted([entry.share for entry in self.anchors], 1, generator))]
        clean = self.data.states[rows]
        level = draws.integers(len(drawn.levels), (len(rows), 1), generator, rows.device)
        mask = drawn.ranks[rows] <= level
        wrong, exact = with_anchor_errors(
            clean,
            drawn.keyframes[rows],
            drawn.indices[rows],
            corruption.interpolation,
            corruption.replace_probability,
            corruption.anchor_jitter,
            generator,
        )
        degraded, _ = degrade(wrong, mask, filling(corruption.interpolation), corruption.noise, generator)
        weights = sample_weights(degraded, clean)
        rows, clean, mask, exact, degraded, weights = share(rows, clean, mask, exact, degraded, weights)
        condition = self.data.condition(rows, self.data.groups(settings.training.batch_size))
        walls = settings.collision_weight, settings.collision_margin
        return RefinerBatch(clean, degraded, weights, mask, exact, condition, *walls)


def refiner_loss(model: Refiner | OwnRefiner, batch: RefinerBatch) -> dict[str, Tensor]:
    """Weighted squared error to the clean sequence (Bansal et al. 2022, equation 1) plus a penalty on points near walls."""
    refined = model(batch.degraded, batch.mask, batch.exact, batch.condition)
    error = batch.weights * (to_network(refined) - to_network(batch.clean)).square()
    return with_penetration(error, refined, batch)


class NearWalls(Protocol):
    """What a batch says of walls."""

    @property
    def condition(self) -> Condition: ...

    @property
    def collision_weight(self) -> float: ...

    @property
    def collision_margin(self) -> float: ...


def with_penetration(error: Tensor, states: Tensor, batch: NearWalls) -> dict[str, Tensor]:
    """Squared errors [B, T, 4] of states in network units, positions ten times as much, and the penalty on points near walls.

    states: [B, T, 4], in normalised units.
    """
    penetration = wall_penetration(states, batch.condition.sdf, batch.collision_margin)
    position, velocity = error[..., :2].mean(), error[..., 2:].mean()
    total = 10 * position + velocity + batch.collision_weight * penetration
    return {"loss": total, "position": position, "velocity": velocity, "penetration": penetration}
