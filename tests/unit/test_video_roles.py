"""Student and critic in one training, beside a teacher that does not learn."""

from itertools import pairwise

import pytest
import torch
from test_training import Killed, kill_at
from test_video_two_phase import DIM, UNGUIDED, Clips, backbone, seeded  # noqa: F401

from interdiff.learning.state import TrainingState
from interdiff.learning.training import Objective, train
from interdiff.settings import validated
from interdiff.video.backbone.losses import RandomFrames
from interdiff.video.backbone.tuning import learned
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.settings import DistilledSettings
from interdiff.video.planner.settings import SamplingSettings

STEPS, WARM, CRITIC = 9, 3, 2


def settings(**changes):
    training = {"steps": STEPS, "batch_size": 4, "warmup_steps": 1, "save_every": 2, "log_every": 3, "ema_decay": 0.5}
    values = {"warm_steps": WARM, "critic_steps": CRITIC, "guidance": 2.0, "training": training}
    return DistilledSettings(**(values | changes))


def distillation(backbone, **changes):  # noqa: F811
    told = settings(**changes)
    return Distillation(RandomFrames(Clips(), UNGUIDED.negative, told).draw, backbone, UNGUIDED.negative, told)


def run(backbone, folder, after_step=lambda step, state: None, watch=lambda roles: None, **changes):  # noqa: F811
    torch.manual_seed(0)
    task, seen = distillation(backbone, **changes), []
    roles = Roles(backbone, task.settings)
    watch(roles)

    def steps(left):
        for step in left:
            seen.append({name: tensor.detach().clone() for name, tensor in roles.named_parameters()})
            after_step(step, state)
            yield step

    with (state := TrainingState(folder)):
        made, history = train(
            roles, Objective(task.draw, task.loss), task.settings.training, state, torch.device("cpu"), print, steps
        )
    return made, history, seen


def moved(before, after, role):
    return any((before[name] != after[name]).any() for name in before if name.startswith(role))


def test_the_student_learns_consistency_and_then_in_turn_with_the_critic(backbone, tmp_path):  # noqa: F811
    start = {name: tensor.clone() for name, tensor in backbone.named_parameters()}
    _, history, seen = run(backbone, tmp_path)
    who = [tuple(moved(one, other, role) for role in ("student", "critic")) for one, other in pairwise(seen)]
    turns = [(True, False), (False, True), (False, True)]
    assert who == ([(True, False)] * WARM + turns * 2)[: STEPS - 1]
    assert all(torch.equal(start[name], tensor) for name, tensor in backbone.named_parameters())
    first, later = history[0], history[-1]
    assert first["matching"] == first["critic"] == 0
    assert first["consistency"] > 0
    assert min(later["matching"], later["critic"], later["consistency"]) > 0
    assert later["bad"] == 0


@pytest.mark.parametrize("step", [2, 5, 8])
def test_a_killed_distillation_ends_as_an_uninterrupted_one(backbone, tmp_path, step):  # noqa: F811
    whole, _, _ = run(backbone, tmp_path / "whole")
    with pytest.raises(Killed):
        run(backbone, tmp_path / "killed", kill_at(step))
    resumed, _, _ = run(backbone, tmp_path / "killed")
    for name, tensor in whole.named_parameters():
        assert torch.equal(tensor, dict(resumed.named_parameters())[name]), name


def test_student_and_critic_answer_in_mixed_precision(backbone, tmp_path):  # noqa: F811
    heard = {"student": set(), "critic": set()}

    def watch(roles):
        for role, types in heard.items():
            feed_forward = getattr(roles, role).transformer.blocks[0].ffn
            feed_forward.register_forward_hook(lambda *call, types=types: types.add(call[2].dtype))

    training = settings().training.model_dump() | {"mixed_precision": "bf16"}
    _, history, _ = run(backbone, tmp_path, watch=watch, training=training)
    assert heard == {"student": {torch.bfloat16}, "critic": {torch.bfloat16}}
    assert history[-1]["bad"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"consistency": "discrete"},
        {"matching_weight": 0.0},
        {"tuning": {"kind": "lora", "rank": 2}},
        {"guidance": 1.0, "frames": [3], "frames_until": 1.0},
    ],
)
def test_other_ways_to_distil_learn_too(backbone, tmp_path, changes):  # noqa: F811
    roles, history, seen = run(backbone, tmp_path, **changes)
    assert moved(seen[0], dict(roles.named_parameters()), "student")
    assert (roles.critic is None) == ("matching_weight" in changes)
    assert history[-1]["bad"] == 0
    if "tuning" in changes:
        assert all("lora" in name for name in learned(roles.student))


def test_all_numbers_of_steps_are_rolled_out_at_decreasing_times(backbone):  # noqa: F811
    task = distillation(backbone, warm_steps=0, critic_steps=1)
    batches = [task.draw(seeded(), step / STEPS) for step in range(8)]
    assert [len(batch.steps) for batch in batches] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [batch.student for batch in batches] == [True, False] * 4
    for batch in batches:
        times = torch.cat(batch.steps, 1)
        assert (times.diff(dim=1) <= 0).all()
        assert len(batch.again) == len(batch.steps)


def test_a_student_samples_without_guidance_in_four_steps_at_most():
    for changes in ({"steps": 5}, {"guidance": 2.0}):
        with pytest.raises(Exception, match="a student takes 1 to 4 steps and guidance 1"):
            validated(SamplingSettings, {"method": "student", **changes}, "sampling")
