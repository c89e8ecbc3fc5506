"""Two-phase plans: phase 1, interpolation and phase 2 through one sampler, and what they cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from interdiff.keyframes.nested_masks import levels_of_steps
from interdiff.learning import draws
from interdiff.learning.costs import counted_flops, median_milliseconds
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.phase1 import Phase1
from interdiff.maze.planner.policies import first_keyframes, level_ranks, rank_indices
from interdiff.maze.planner.refiner import OwnRefiner, Refiner, project_out_of_walls
from interdiff.maze.planner.settings import Policy, SamplingSettings
from interdiff.two_phase.interpolation import filling, place_keyframes
from interdiff.two_phase.sampler import Refine, refine_over_levels

VARYING = 16
"""Plans whose compute is averaged where each has its own."""


@dataclass(frozen=True)
class Plans:
    """Plans for N rows: indices [N, K], ranks [N, T]; keyframes [N, K, 4] and sequences [N, T, 4] in normalised units."""

    indices: Tensor
    ranks: Tensor
    keyframes: Tensor
    interpolated: Tensor
    refined: Tensor


class AnyPlanner(ABC):
    """What makes plans of conditions. A pass of `refiner` is the unit of its compute."""

    refiner: Refiner | OwnRefiner
    settings: SamplingSettings

    @property
    @abstractmethod
    def networks(self) -> tuple[nn.Module, ...]:
        """Those that run."""

    @abstractmethod
    def by(self, policy: Policy) -> AnyPlanner:
        """The same with keyframes from elsewhere, where it has any."""

    @property
    def varies(self) -> bool:
        """Whether another draw makes another plan."""
        return True

    def seen(self, data: Prepared) -> Prepared:
        """Data with the steps between cells, which the planner finds itself, before all else: it is given the map alone."""
        return data.with_iterated_steps()

    @abstractmethod
    def keyframes(self, data: Prepared, masks: Masks | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Keyframes [N, K] and the masks' ranks [N, T] (the keyframes have rank 0) of every row."""

    @abstractmethod
    def plan(
        self, data: Prepared, rows: Tensor, indices: Tensor, ranks: Tensor, generator: torch.Generator, oracle: bool
    ) -> Plans:
        """Plans for rows, equally many of each layout, at keyframes [B, K], with masks nested as ranks [B, T] say.

        `oracle` takes the ground truth's keyframes in place of the planner's.
        """

    def plan_all(self, data: Prepared, masks: Masks, generator: torch.Generator) -> Plans:
        """Plans for all rows of data, equally many of each layout, from conditions alone (but policy "dp")."""
        data = self.seen(data)
        indices, ranks = self.keyframes(data, masks, generator)
        return self.plan(data, data.all_rows, indices, ranks, generator, oracle=False)


@dataclass(frozen=True)
class Planner(AnyPlanner):
    """Both phases with their settings."""

    phase1: Phase1
    refiner: Refiner | OwnRefiner
    settings: SamplingSettings

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        chooser = [self.phase1.selector] if self.settings.policy == "selector" else []
        return (self.phase1.segment_cost, *chooser, self.phase1.keyframes, self.refiner)

    def keyframes(self, data: Prepared, masks: Masks | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The policy's keyframes [N, K] and the masks' ranks [N, T] (the keyframes have rank 0) of every row.

        masks: needed by policy "dp" alone.
        """
        rng = self.rng(generator)
        return self.nested(data, first_keyframes(self.settings.policy, self.levels()[0], data, masks, rng), rng)

    def rng(self, generator: torch.Generator) -> np.random.Generator:
        """Of policy "random"; no other draws from the generator."""
        random = self.settings.policy == "random"
        return draws.numpy_generator(generator) if random else np.random.default_rng(0)

    def nested(self, data: Prepared, start: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Keyframes and ranks that begin with the keyframes `start` [N, K]; None for those of the policy's own costs."""
        levels = self.levels()
        ranks = level_ranks(self.settings.policy, levels, data, self.phase1.selector, rng, start)
        return rank_indices(ranks, levels[0]), ranks

    def plan(
        self, data: Prepared, rows: Tensor, indices: Tensor, ranks: Tensor, generator: torch.Generator, oracle: bool
    ) -> Plans:
        """Plans for rows, equally many of each layout, at keyframes [B, K], with masks nested as ranks [B, T] say.

        `oracle` takes the ground truth's keyframes in place of phase 1's.
        """
        if oracle:
            keyframes = data.states[rows].gather(1, indices[..., None].expand(-1, -1, data.states.shape[-1]))
        else:
            keyframes = self.drawn(data, rows, indices, generator)
        anchors, _ = place_keyframes(keyframes, indices, data.frames)
        condition = data.condition(rows)
        masks = [ranks <= level for level in range(len(self.levels()))]
        interpolated, refined = refine_over_levels(
            self._refine(condition, torch.full((len(rows),), oracle, device=data.device)),
            anchors,
            masks,
            [self._noise()] * len(masks),
            filling(self.refiner.interpolation),
            generator,
            _keeps_ends(condition),
        )
        return Plans(indices, ranks, keyframes, interpolated, refined)

    def by(self, policy: Policy) -> Planner:
        return replace(self, settings=self.settings.model_copy(update={"policy": policy}))

    def drawn(self, data: Prepared, rows: Tensor, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Phase 1's keyframes [B, K, 4] at frames [B, K]."""
        return self.phase1.keyframes_at(data, rows, indices, self.settings.keyframe_steps, generator)

    def levels(self) -> list[int]:
        """The keyframe counts of the levels that phase 2 runs over: K, and others spread over the finer ones."""
        (k,) = self.settings.counts
        return levels_of_steps(self.phase1.selector.nested_levels, k, self.settings.refiner_steps)

    def _noise(self) -> float:
        return {"none": 0.0, "constant": self.settings.noise_scale, "level": self.refiner.noise}[self.settings.noise]

    @torch.no_grad()
    def _refine(self, condition: Condition, exact_b: Tensor) -> Refine:
        if self.settings.refiner == "identity":
            return lambda x, mask, _: x
        if self.settings.refiner == "projection":
            return lambda x, mask, _: project_out_of_walls(x, condition)
        encoded = self.refiner.encode(condition)
        return lambda x, mask, _: self.refiner(x, mask, exact_b, condition, encoded=encoded)


def _keeps_ends(condition: Condition) -> Callable[[Tensor], Tensor]:
    """Clips positions to the grid and puts the start and the goal back."""

    def project(x: Tensor) -> Tensor:
        x = torch.cat([x[..., :2].clamp(0, 1), x[..., 2:]], dim=-1)
        x[:, 0, :2], x[:, -1, :2] = condition.start[:, :2], condition.goal
        return x

    return project


def function_evaluations(planner: AnyPlanner, data: Prepared, masks: Masks, generator: torch.Generator) -> float:
    """FLOPs of one plan - map encoders, D_phi, selector, every step of both phases - over those of one refiner pass.

    Where plans have different numbers of keyframes, the mean of a few.
    """
    one, _ = _single(data, masks, 0)
    few = range(min(VARYING, len(data.states))) if len(planner.settings.counts) > 1 else range(1)
    mask = torch.ones(1, data.frames, dtype=torch.bool, device=data.device)
    refiner_pass = counted_flops(lambda: planner.refiner(one.states, mask, mask[:, 0], one.condition(one.all_rows)))
    plans = [counted_flops(partial(planner.plan_all, *_single(data, masks, row), generator)) for row in few]
    return sum(plans) / len(plans) / refiner_pass


def plan_milliseconds(planner: AnyPlanner, data: Prepared, masks: Masks, generator: torch.Generator) -> float:
    """Median wall time of a plan at batch 1, from a condition to the refined sequence."""
    return median_milliseconds(lambda n: planner.plan_all(*_single(data, masks, n % len(data.states)), generator))


def _single(data: Prepared, masks: Masks, row: int) -> tuple[Prepared, Masks]:
    rows = torch.full((1,), row, device=data.states.device)
    return data.subset(rows), masks.subset(rows.numpy(force=True))
