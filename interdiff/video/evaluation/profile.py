"""Where the time of a training step of a Wan transformer goes, part by part.

B clips, C channels, F frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor, nn

from interdiff.learning.costs import now
from interdiff.learning.precision import mixed_precision

PARTS = {
    r"attn\d\.(to_[qkv]|norm_[qk]|to_out\.0)$": "projections",
    r"attn1$": "self-attention",
    r"attn2$": "cross-attention",
    r"ffn$": "feed-forward",
    r"blocks\.\d+$": "modulation",
}
"""What is left of a module's time once its own parts' are taken off, by the end of the module's name."""
REST = "embeddings, output"


class Clock:
    """Seconds by part, each without those of the parts inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [REST]
        self._last = now()

    def enter(self, part: str) -> None:
        """From here on time is the part's."""
        self._count()
        self._inside.append(part)

    def leave(self, part: str) -> None:
        """From here on time is that of what the part is in."""
        self._count()
        if part in self._inside[1:]:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(part)]

    def _count(self) -> None:
        moment = now()
        self.seconds[self._inside[-1]] += moment - self._last
        self._last = moment

    def stop(self) -> dict[str, float]:
        """All seconds since the clock began."""
        self._count()
        return dict(self.seconds)


@contextmanager
def timed_parts(model: nn.Module, clock: Callable[[], Clock]) -> Iterator[None]:
    """Modules of a network tell the clock of the moment, forwards and backwards, when they begin and end."""
    hooks = []
    for name, module in model.named_modules():
        part = next((part for pattern, part in PARTS.items() if re.search(pattern, name)), None)
        if part is not None:
            hooks += [
                module.register_forward_pre_hook(lambda *_, part=part: clock().enter(part)),
                module.register_forward_hook(lambda *_, part=part: clock().leave(part)),
                module.register_full_backward_pre_hook(lambda *_, part=part: clock().enter(part)),
                module.register_full_backward_hook(lambda *_, part=part: clock().leave(part)),
            ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def step_times(
    model: nn.Module,
    given: Sequence[Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    precision: str,
    repeats: int,
) -> dict[tuple[str, str], float]:
    """Milliseconds of a training step by pass (forward, backward, update) and part, medians after a step to warm up.

    given: what the network is called with; its answer's mean square is what it learns to make small. Between two parts a GPU
    is waited for, so a step takes longer than it does without being watched.
    """
    device = given[0].device
    low = mixed_precision(precision, device) == "bf16"
    clocks: list[Clock] = []
    steps: list[dict[tuple[str, str], float]] = []

    def clocked(run: Callable[[], Tensor | None]) -> tuple[Tensor | None, dict[str, float]]:
        clocks.append(Clock())
        made = run()
        return made, clocks[-1].stop()

    def forward() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            answer: Tensor = model(*given)
        return answer.float().square().mean()

    def update() -> None:
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    with timed_parts(model, lambda: clocks[-1]):
        for _ in range(1 + repeats):
            loss, forwards = clocked(forward)
            assert loss is not None
            _, backwards = clocked(loss.backward)  # type: ignore[arg-type]
            _, updates = clocked(update)
            step = {("forward", part): spent for part, spent in forwards.items()}
            step |= {("backward", part): spent for part, spent in backwards.items()}
            steps.append(step | {("update", "update"): sum(updates.values())})
    return {key: 1000 * median(step.get(key, 0.0) for step in steps[1:]) for key in steps[-1]}
