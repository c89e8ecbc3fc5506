"""Deterministic diffusion sampling, DDIM (Song et al. 2021), of clean-sample prediction.

diffusers' scheduler gives the same bits where the steps divide those of training, but takes longer to import than most stages
run. Where they do not, its `trailing` steps end beside those that it visits next, and noise is left over.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor


def cosine_signal(steps: int) -> Tensor:
    """Share of signal [steps] in the variance at each step of the cosine schedule (Nichol and Dhariwal 2021)."""

    def signal(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - signal((i + 1) / steps) / signal(i / steps), 0.999) for i in range(steps)]
    return torch.cumprod(1.0 - torch.tensor(betas, device="cpu"), dim=0)


@cache
def _visited(train_steps: int, steps: int) -> tuple[int, ...]:
    ends = np.arange(train_steps, 0, -train_steps / steps)
    return tuple(round(end) - 1 for end in ends[:steps].tolist())


class DDIM:
    """A noise schedule: what training adds, and the steps that take it away.

    Attributes:
        signal: [S] share of signal in the variance at each of S training steps, falling.
    """

    def __init__(self, signal: Tensor) -> None:
        self.signal = signal

    @property
    def train_steps(self) -> int:
        return len(self.signal)

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Clean samples [B, ...] at steps t [B]."""
        self.signal = self.signal.to(clean.device)  # once, so that no step waits for a copy
        share = self.signal[t].reshape(-1, *[1] * (clean.dim() - 1))
        return share**0.5 * clean + (1 - share) ** 0.5 * noise

    def timesteps(self, steps: int) -> list[int]:
        """The steps of training that sampling in `steps` visits: evenly spaced, from the last down."""
        return list(_visited(self.train_steps, steps))

    def step(self, clean: Tensor, t: int, z: Tensor, steps: int) -> Tensor:
        """From z at training step t, whose clean sample was predicted, to the next of `steps` steps."""
        visited = _visited(self.train_steps, steps)
        after = visited.index(t) + 1
        share = self.signal[t]
        next_share = self.signal[visited[after]] if after < len(visited) else torch.ones_like(share)
        noise = (z - share**0.5 * clean) / (1 - share) ** 0.5
        return next_share**0.5 * clean + (1 - next_share) ** 0.5 * noise
