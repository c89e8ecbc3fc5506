"""Student, teacher and critic: who learns what in which step.

First the student alone learns consistency. Once its tangent is whole it also learns to match the teacher's distribution, by a
critic that gets several steps to each of its own (Zheng et al. 2025).

B clips, C channels, F frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interdiff.learning import draws
from interdiff.learning.processes import of_batch
from interdiff.video.backbone.flow_matching import Guidance, shifted
from interdiff.video.backbone.losses import FlowBatch
from interdiff.video.backbone.tuning import tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.distillation.consistency import continuous_loss, discrete_loss, guidance_loss
from interdiff.video.distillation.matching import critic_loss, matching_loss
from interdiff.video.distillation.sampling import rollout
from interdiff.video.distillation.settings import StudentSettings
from interdiff.video.distillation.times import Moments, times_of
from interdiff.video.distillation.trigflow import Answer, answering, guided, of_level


class Roles(nn.Module):
    """The networks that learn; both start as the teacher, which does not."""

    def __init__(self, teacher: WanDenoiser, settings: StudentSettings) -> None:
        super().__init__()
        self.student = tuned(teacher, settings.tuning)
        self.critic = tuned(teacher, settings.tuning) if settings.matching_weight else None


@dataclass(frozen=True)
class RolesBatch:
    """Frames `data` [B, C, F, H, W], prompts [B, L, D] and places [B, F]; noises of that shape.

    moments: of consistency; steps: times of the rollout, `again` where it starts and its noises; judged: noise and times
    [B, 1] of matching. warm: share of the tangent; student: whether the step is its, or the critic's.
    """

    data: Tensor
    embed: Tensor
    frames: Tensor
    noise: Tensor
    moments: Moments
    again: list[Tensor]
    steps: list[Tensor]
    judged: tuple[Tensor, Tensor]
    warm: float
    student: bool
    matching: bool


@dataclass(frozen=True)
class Distillation:
    """Frames of clips as they are drawn, the frozen teacher, and the embedding [L, D] that guidance leads away from."""

    clips: Callable[[torch.Generator, float], FlowBatch]
    teacher: WanDenoiser
    negative: Tensor
    settings: StudentSettings

    def draw(self, generator: torch.Generator, progress: float) -> RolesBatch:
        """Clips and noise, and the times and the learner of a step."""
        settings, batch = self.settings, self.clips(generator, progress)
        step, stream, device = round(progress * settings.training.steps), of_batch(generator), batch.z.device
        after, times = step - settings.warm_steps, times_of(batch, settings)
        matching = bool(settings.matching_weight) and after >= 0
        turn = max(0, after) // (settings.critic_steps + 1)
        # All numbers of steps in turn.
        start, steps = times.rollout(turn % times.most + 1, stream)
        level = shifted(draws.uniform((len(batch.z), 1), stream, device), settings.matching_shift)
        return RolesBatch(
            data=batch.z,
            embed=batch.embed,
            frames=batch.frames,
            noise=batch.noise,
            moments=times.moments(stream),
            again=[start, *(draws.normal(batch.z.shape, stream, device) for _ in steps[1:])],
            steps=steps,
            judged=(draws.normal(batch.z.shape, stream, device), of_level(level.double())),
            warm=min(1.0, step / settings.warm_steps) if settings.warm_steps else 1.0,
            student=not matching or after % (settings.critic_steps + 1) == 0,
            matching=matching,
        )

    def loss(self, roles: Roles, batch: RolesBatch) -> dict[str, Tensor]:
        """The learner's loss. Parts are zero in others' steps, and in its own so many times as large that means are right."""
        settings, zero = self.settings, batch.data.new_zeros(())
        guidance = Guidance(settings.guidance, self.negative, settings.guided_below)
        teacher = guided(self.teacher, batch.embed, batch.frames, guidance)
        student = answering(roles.student, batch.embed, batch.frames)
        turns = settings.critic_steps + 1 if batch.matching else 1
        parts = {"consistency": zero, "bad": zero, "matching": zero, "critic": zero}
        if batch.student and settings.consistency_weight:
            found = self._consistency(student, teacher, batch)
            parts |= {"consistency": found["loss"], "bad": found["bad"]}
        loss = settings.consistency_weight * parts["consistency"]
        if batch.matching:
            assert roles.critic is not None
            critic = answering(roles.critic, batch.embed, batch.frames)
            with torch.set_grad_enabled(batch.student):
                made = rollout(student, batch.again, batch.steps)
            if batch.student:
                parts["matching"] = matching_loss(made, teacher, critic, *batch.judged)
                loss = loss + settings.matching_weight * parts["matching"]
            else:
                loss = parts["critic"] = critic_loss(critic, made, *batch.judged)
        share = {"consistency": turns, "bad": turns, "matching": turns, "critic": turns / settings.critic_steps}
        return {"loss": loss, **{name: value.detach() * share[name] for name, value in parts.items()}}

    def _consistency(self, student: Answer, teacher: Answer, batch: RolesBatch) -> dict[str, Tensor]:
        at, given = batch.moments, (student, teacher, batch.data, batch.noise)
        if self.settings.consistency == "guidance":
            return guidance_loss(*given, at.t)
        if self.settings.consistency == "continuous":
            return continuous_loss(*given, at.t, at.onward, batch.warm)
        return discrete_loss(*given, at.t, at.onward)
