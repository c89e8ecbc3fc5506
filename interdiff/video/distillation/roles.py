"""Student, teacher and critic: who learns what in which step.

First the student alone learns consistency. Once its tangent is whole it also learns to match the teacher's distribution, by a
critic that gets several steps to each of its own (Zheng et al. 2025).

B clips, C channels, F frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interdiff.learning import draws
from interdiff.learning.draws import Stream
from interdiff.learning.processes import of_batch
from interdiff.video.backbone.flow_matching import even_levels, shifted
from interdiff.video.backbone.losses import FlowBatch
from interdiff.video.backbone.tuning import tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.distillation.consistency import continuous_loss, discrete_loss
from interdiff.video.distillation.matching import critic_loss, matching_loss
from interdiff.video.distillation.sampling import TIMES, rollout
from interdiff.video.distillation.settings import DistilledSettings
from interdiff.video.distillation.trigflow import Answer, answering, guided, of_level


class Roles(nn.Module):
    """The networks that learn; both start as the teacher, which does not."""

    def __init__(self, teacher: WanDenoiser, settings: DistilledSettings) -> None:
        super().__init__()
        self.student = tuned(teacher, settings.tuning)
        self.critic = tuned(teacher, settings.tuning) if settings.matching_weight else None


@dataclass(frozen=True)
class RolesBatch:
    """Frames `data` [B, C, F, H, W], prompts [B, L, D] and places [B, F]; noises of that shape, and times [B, 1].

    t, place: of consistency, as a time or as the number of one; steps: times of the rollout, `again` its noises; judged: of
    matching. warm: share of the tangent; learner: whose step it is.
    """

    data: Tensor
    embed: Tensor
    frames: Tensor
    noise: Tensor
    t: Tensor
    place: Tensor
    again: list[Tensor]
    steps: list[Tensor]
    judged: Tensor
    warm: float
    student: bool
    matching: bool


@dataclass(frozen=True)
class Distillation:
    """Frames of clips as they are drawn, the frozen teacher, and the embedding [L, D] that guidance leads away from."""

    clips: Callable[[torch.Generator, float], FlowBatch]
    teacher: WanDenoiser
    negative: Tensor
    settings: DistilledSettings

    def draw(self, generator: torch.Generator, progress: float) -> RolesBatch:
        """Clips and noise, and the times and the learner of a step."""
        settings, batch = self.settings, self.clips(generator, progress)
        step, stream, device = round(progress * settings.training.steps), of_batch(generator), batch.z.device
        after = step - settings.warm_steps
        matching = bool(settings.matching_weight) and after >= 0
        turn, size = max(0, after) // (settings.critic_steps + 1), (len(batch.z), 1)
        # One to four steps in turn, each time at times no later than sampling's.
        count = turn % len(TIMES) + 1
        drawn = [
            of_level(shifted(draws.uniform(size, stream, device), settings.matching_shift).double()) for _ in range(4)
        ]
        steps = [torch.full(size, TIMES[0], dtype=torch.float64, device=device)]
        for earlier in drawn[: count - 1]:
            steps.append(torch.minimum(steps[-1], earlier))
        return RolesBatch(
            data=batch.z,
            embed=batch.embed,
            frames=batch.frames,
            noise=batch.noise,
            t=self._times(size, stream, device),
            place=draws.integers(settings.discrete_times, (len(batch.z),), stream, device),
            again=[draws.normal(batch.z.shape, stream, device) for _ in range(count + 1)],
            steps=steps,
            judged=drawn[-1],
            warm=min(1.0, step / settings.warm_steps) if settings.warm_steps else 1.0,
            student=not matching or after % (settings.critic_steps + 1) == 0,
            matching=matching,
        )

    def _times(self, size: tuple[int, int], stream: Stream, device: torch.device) -> Tensor:
        logarithm = (
            self.settings.level_mean + self.settings.level_deviation * draws.normal(size, stream, device).double()
        )
        return torch.atan(logarithm.exp())

    def loss(self, roles: Roles, batch: RolesBatch) -> dict[str, Tensor]:
        """The learner's loss. Parts are zero in others' steps, and in its own so many times as large that means are right."""
        settings, zero = self.settings, batch.data.new_zeros(())
        teacher = guided(self.teacher, batch.embed, self.negative, batch.frames, settings.guidance)
        student = answering(roles.student, batch.embed, batch.frames)
        turns = settings.critic_steps + 1 if batch.matching else 1
        parts = {"consistency": zero, "bad": zero, "matching": zero, "critic": zero}
        if batch.student:
            found = self._consistency(student, teacher, batch)
            parts |= {"consistency": found["loss"], "bad": found["bad"]}
        loss = settings.consistency_weight * parts["consistency"]
        if batch.matching:
            assert roles.critic is not None
            critic = answering(roles.critic, batch.embed, batch.frames)
            judging = batch.again[-1], batch.judged
            with torch.set_grad_enabled(batch.student):
                made = rollout(student, batch.again, batch.steps)
            if batch.student:
                parts["matching"] = matching_loss(made, teacher, critic, *judging)
                loss = loss + settings.matching_weight * parts["matching"]
            else:
                loss = parts["critic"] = critic_loss(critic, made, *judging)
        share = {"consistency": turns, "bad": turns, "matching": turns, "critic": turns / settings.critic_steps}
        return {"loss": loss, **{name: value.detach() * share[name] for name, value in parts.items()}}

    def _consistency(self, student: Answer, teacher: Answer, batch: RolesBatch) -> dict[str, Tensor]:
        if self.settings.consistency == "continuous":
            return continuous_loss(student, teacher, batch.data, batch.noise, batch.t, batch.warm)
        levels = even_levels(self.settings.discrete_times, self.settings.matching_shift)
        times = [min(math.atan2(level, 1 - level), TIMES[0]) for level in levels]
        return discrete_loss(student, teacher, batch.data, batch.noise, batch.place, times)
