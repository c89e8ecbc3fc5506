"""Optimizers and the schedule of their rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.learning.precision import fast_bf16
from interdiff.learning.settings import TrainingSettings


class Muon(torch.optim.Muon):
    """PyTorch's Muon, in fp32 where a device has no instructions for bf16: PyTorch's own always computes in bf16."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step for all matrices that have a gradient."""
        if all(fast_bf16(group["params"][0].device) for group in self.param_groups):
            super().step(closure)
            return
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, matrix.grad, group)

    def _update(self, matrix: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        """Nesterov's momentum, made orthogonal and as long as AdamW's updates (Liu et al. 2025, equation 4)."""
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum = state["momentum_buffer"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(momentum, group["momentum"])
        update = orthogonal(update, group["ns_coefficients"], group["ns_steps"])
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor, quintic: tuple[float, float, float], iterations: int) -> Tensor:
    """About the nearest matrix of orthogonal rows or columns, by Newton-Schulz iterations (Jordan et al. 2024)."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp_min(1e-7)
    a, b, c = quintic
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def schedule(settings: TrainingSettings, step: int) -> float:
    """Share of the peak learning rates: linear warm-up, and a half cosine down to zero at the last step."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def build_optimizers(learned: Mapping[str, nn.Parameter], settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """AdamW; where Muon (Jordan et al. 2024) has a learning rate, it takes the matrices inside a network's blocks.

    Muon's updates are scaled to what AdamW's would measure (Liu et al. 2025, equation 4).
    """
    rate, decay = settings.muon_learning_rate, settings.weight_decay
    hidden = {name: value for name, value in learned.items() if rate and value.ndim == 2 and "blocks." in name}
    rest = [parameter for name, parameter in learned.items() if name not in hidden]
    adamw = torch.optim.AdamW(rest, lr=settings.learning_rate, weight_decay=decay, betas=(0.9, 0.98), fused=True)
    if rate is None:
        return [adamw]
    if not hidden:
        raise InputError("training.muon_learning_rate: expected null, since the network has no matrices in `blocks`")
    return [adamw, Muon(hidden.values(), lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")]
