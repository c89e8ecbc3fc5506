"""As few keyframes as a plan needs: K is chosen for each, by what D_phi predicts that K keyframes will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.budget import groups, least_counts, padded, predicted_costs
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.masks import Masks
from interdiff.maze.planner.plans import Planner, Plans
from interdiff.maze.planner.policies import first_keyframes
from interdiff.maze.planner.selector import level_costs

CHUNK = 64


@dataclass(frozen=True)
class AutoPlanner(Planner):
    """Both phases at the least K whose predicted cost is tolerable, plan by plan; plans of one K are made together.

    Keyframes [N, K] have the columns of the greatest K; a plan of fewer repeats its last one.
    """

    def keyframes(self, data: Prepared, masks: Masks | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rng, policy = self.rng(generator), self.settings.policy
        first = {k: first_keyframes(policy, k, data, masks, rng) for k in self.settings.auto_counts}
        counts = np.concatenate([self._counts(data.subset(rows), _of_rows(first, rows)) for rows in data.chunks(CHUNK)])
        indices = torch.zeros(len(counts), max(first), dtype=torch.int64, device=data.device)
        ranks = torch.zeros(len(counts), data.frames, dtype=torch.uint8, device=data.device)
        for k, rows in groups(counts):
            own = torch.as_tensor(rows, device=data.device)
            chosen, ranks[own] = self._of(k).nested(data.subset(own), _of_rows(first, own)[k], rng)
            spread = padded(chosen.numpy(force=True), indices.shape[1])
            indices[own] = torch.as_tensor(spread, device=data.device)
        return indices, ranks

    def plan(
        self, data: Prepared, rows: Tensor, indices: Tensor, ranks: Tensor, generator: torch.Generator, oracle: bool
    ) -> Plans:
        made: dict[str, Tensor] = {}
        for k, numbers in groups((ranks == 0).sum(1).numpy(force=True)):
            own = torch.as_tensor(numbers, device=data.device)
            plans = self._of(k).plan(data, rows[own], indices[own, :k], ranks[own], generator, oracle)
            last = plans.keyframes[:, -1:].expand(-1, indices.shape[1] - k, -1)
            parts = {
                "keyframes": torch.cat([plans.keyframes, last], dim=1),
                "interpolated": plans.interpolated,
                "refined": plans.refined,
            }
            for name, part in parts.items():
                whole = made.setdefault(name, part.new_zeros(len(rows), *part.shape[1:]))
                whole[own] = part
        return Plans(indices, ranks, **made)

    def _of(self, k: int) -> Planner:
        return Planner(self.phase1, self.refiner, self.settings.model_copy(update={"k": k}))

    @torch.no_grad()
    def _counts(self, data: Prepared, first: Mapping[int, Tensor | None]) -> np.ndarray:
        """The K [B] of every row of one layout, by its keyframes [B, K] for each K; None: those of the selector's costs."""
        phase1, condition = self.phase1, data.condition(data.all_rows)
        costs = level_costs(phase1.selector, condition) if self.settings.policy == "selector" else None

        def indices_of(k: int) -> np.ndarray:
            if costs is not None:
                return optimal_indices(costs(k), k, phase1.selector.max_gap_factor)[0]
            chosen = first[k]
            assert chosen is not None
            return chosen.numpy(force=True)

        predicted = phase1.segment_cost.all_costs(phase1.segment_cost(condition))
        costs_of = predicted_costs(predicted, indices_of, self.settings.auto_counts)
        return least_counts(costs_of, self.settings.tolerance)


def _of_rows(first: Mapping[int, Tensor | None], rows: Tensor) -> dict[int, Tensor | None]:
    return {k: None if chosen is None else chosen[rows] for k, chosen in first.items()}
