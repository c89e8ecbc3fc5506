"""Distillation as a stage does it: teacher, student and critic, from frames of clips to the student's checkpoint."""

from collections.abc import Callable

import torch
from torch import Tensor

from interdiff.learning.training import Objective
from interdiff.video.backbone.losses import FlowBatch
from interdiff.video.backbone.tuning import save_tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.settings import StudentSettings
from interdiff.workflow.stage import Stage
from stages.training import train_network


def distil(
    stage: Stage,
    kind: str,
    draw: Callable[[torch.Generator, float], FlowBatch],
    teacher: WanDenoiser,
    negative: Tensor,
    settings: StudentSettings,
) -> None:
    """Train a student of the frozen `teacher` on what `draw` draws; write it as a checkpoint of this kind.

    negative: [L, D], embedding that the teacher's guidance leads away from.
    """
    torch.manual_seed(settings.training.seed)
    distillation = Distillation(draw, teacher, negative, settings)
    objective = Objective(distillation.draw, distillation.loss)
    roles, history = train_network(stage, Roles(teacher, settings), objective)
    save_tuned(stage.outputs, kind, roles.student, settings.tuning, history)
