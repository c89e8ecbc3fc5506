"""As few keyframes as a plan needs: K is chosen for each, by what D_phi predicts that K keyframes will cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.budget import groups, least_counts, padded, predicted_costs
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.learning import draws
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
        rng = draws.numpy_generator(generator) if self.settings.policy == "random" else np.random.default_rng(0)
        counts = np.concatenate([self._counts(data.subset(rows), masks, rng) for rows in data.chunks(CHUNK)])
        indices = torch.zeros(len(counts), max(self.settings.auto_counts), dtype=torch.int64, device=data.device)
        ranks = torch.zeros(len(counts), data.frames, dtype=torch.uint8, device=data.device)
        for k, rows in groups(counts):
            own = torch.as_tensor(rows, device=data.device)
            part = None if masks is None else masks.subset(rows)
            chosen, ranks[own] = self._of(k).keyframes(data.subset(own), part, generator)
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
    def _counts(self, data: Prepared, masks: Masks | None, rng: np.random.Generator) -> np.ndarray:
        """The K [B] of every row of one layout."""
        policy, counts = self.settings.policy, self.settings.auto_counts
        phase1, condition = self.phase1, data.condition(data.all_rows)
        costs = level_costs(phase1.selector, condition) if policy == "selector" else None

        def indices_of(k: int) -> np.ndarray:
            if costs is not None:
                return optimal_indices(costs(k), k, phase1.selector.max_gap_factor)[0]
            first = first_keyframes(policy, k, data, masks, rng)
            assert first is not None
            return first.numpy(force=True)

        predicted = phase1.segment_cost.all_costs(phase1.segment_cost(condition))
        return least_counts(predicted_costs(predicted, indices_of, counts), self.settings.tolerance)
