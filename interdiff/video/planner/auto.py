"""As few keyframes as a clip needs: K is chosen for each, by what D_phi predicts that K keyframes will cost.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from interdiff.keyframes.budget import groups, least_counts, padded, predicted_costs
from interdiff.learning.draws import moved
from interdiff.video.backbone.flow_matching import After, unchanged
from interdiff.video.planner.two_phase import Choice, Sampled, TwoPhase


@dataclass(frozen=True)
class AutoTwoPhase:
    """Both phases at the least K whose predicted cost is tolerable, clip by clip; clips of one K are made together.

    both: both phases, at any K. costs: D_phi's [B, T, T], of prompts [B, L, D]. tolerance: mean squared error of latents
    that interpolation may leave.
    """

    both: TwoPhase
    costs: Callable[[Tensor], np.ndarray]
    counts: Sequence[int]
    tolerance: float

    @torch.no_grad()
    def sample(
        self,
        noise: Tensor,
        embed: Tensor,
        generator: torch.Generator,
        truth: Tensor | None = None,
        after: After = unchanged,
    ) -> Sampled:
        """As `TwoPhase.sample`; places have the columns of the greatest K, and those of fewer keyframes repeat the last."""
        indices = torch.zeros(len(noise), max(self.counts), dtype=torch.int64, device="cpu")
        interpolated, refined = torch.empty_like(noise), torch.empty_like(noise)
        choice = self.both.choose(noise, embed, truth)
        for k, rows in groups(self._counts(choice, embed)):
            own = torch.from_numpy(rows)
            there = moved(own, noise.device)
            given = noise[there], embed[there], generator, None if truth is None else truth[there], after
            part = replace(self.both, k=k).sample(*given, choice.of(own))
            indices[own] = torch.from_numpy(padded(part.indices.numpy(force=True), indices.shape[1]))
            interpolated[there], refined[there] = part.interpolated, part.refined
        return Sampled(indices, interpolated, refined)

    def _counts(self, choice: Choice, embed: Tensor) -> np.ndarray:
        def indices_of(k: int) -> np.ndarray:
            return choice.indices(k).numpy()

        return least_counts(predicted_costs(self.costs(embed), indices_of, list(self.counts)), self.tolerance)
