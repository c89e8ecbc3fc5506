"""Students of both phases: what they learn, and the clips that two phases make with them."""

from dataclasses import replace

import pytest
import torch
from test_video_roles import STEPS, moved, settings
from test_video_two_phase import (  # noqa: F401
    CLIPS,
    EMBED,
    FRAMES,
    NOISE,
    UNGUIDED,
    B,
    Clips,
    Ideal,
    T,
    backbone,
    seeded,
    two_phase,
)

from interdiff.errors import InputError
from interdiff.settings import validated
from interdiff.video.backbone.flow_matching import take_frames
from interdiff.video.backbone.tuning import learned
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.sampling import TIMES
from interdiff.video.distillation.settings import DistilledKeyframesSettings
from interdiff.video.distillation.trigflow import level_of
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.settings import KeyframesSettings, SamplingSettings


def steps(distillation, roles, count=STEPS):
    """A training by hand; what each step changed."""
    optimizer, generator, changed = torch.optim.Adam(roles.parameters(), lr=1e-3), seeded(), []
    for step in range(count):
        before = {name: tensor.detach().clone() for name, tensor in roles.named_parameters()}
        batch = distillation.draw(generator, step / distillation.settings.training.steps)
        found = distillation.loss(roles, batch)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        after = dict(roles.named_parameters())
        changed.append((batch, found, [role for role in ("student", "critic") if moved(before, after, role)]))
    return changed


@pytest.mark.parametrize("changes", [{}, {"consistency": "discrete"}, {"tuning": {"kind": "lora", "rank": 2}}])
def test_a_student_of_phase_1_learns_from_the_frames_that_phase_1_does(backbone, changes):  # noqa: F811
    told = DistilledKeyframesSettings(**settings(**changes).model_dump(exclude={"frames", "frames_until"}))
    chosen = ChosenFrames(Clips(), {4: FRAMES}, UNGUIDED.negative, KeyframesSettings(mix={"oracle": 1.0}))
    distillation = Distillation(chosen.draw, backbone, UNGUIDED.negative, told)
    roles = Roles(backbone, told)
    for batch, found, _ in steps(distillation, roles):
        assert torch.equal(batch.frames, FRAMES)
        assert torch.equal(batch.data, take_frames(CLIPS, FRAMES))
        assert {made.shape for made in batch.again} == {batch.data.shape}
        assert found["bad"] == 0
    assert all("lora" in name for name in learned(roles.student)) == ("tuning" in changes)


def test_a_students_keyframes_are_those_of_its_steps_without_guidance():
    told = []

    class Seeing(Ideal):
        def forward(self, z, sigma, embed, frames):
            told.append((sigma.unique().item(), frames, len(z)))
            return super().forward(z, sigma, embed, frames)

    both = two_phase(None, keyframes=Seeing(), refiner_steps=0)
    both = replace(both, settings=SamplingSettings(k=4, steps=3, refiner_steps=0, distilled=["keyframes"]))
    sampled = both.sample(NOISE, EMBED, seeded())
    levels = level_of(torch.tensor(TIMES[:3], dtype=torch.float64)).tolist()
    assert [level for level, _, _ in told] == pytest.approx(levels, abs=1e-6)
    assert all(torch.equal(frames, sampled.indices) and count == B for _, frames, count in told)
    torch.testing.assert_close(
        take_frames(sampled.refined, sampled.indices), take_frames(CLIPS, sampled.indices), atol=1e-4, rtol=1e-3
    )


def test_more_steps_draw_more_noise_and_one_draws_none():
    drawn = []
    for count in (1, 2):
        sampling = SamplingSettings(k=4, steps=count, refiner_steps=0, distilled=["keyframes"])
        generator = seeded()
        replace(two_phase(None, keyframes=Ideal(), refiner_steps=0), settings=sampling).sample(NOISE, EMBED, generator)
        drawn.append(torch.equal(generator.get_state(), seeded().get_state()))
    assert drawn == [True, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 5}, r"sampling\.distilled: a student takes 1 to 4 steps and guidance 1"),
        ({"guidance": 2.0}, r"sampling\.distilled: a student takes 1 to 4 steps and guidance 1"),
        ({"method": "teacher"}, r"sampling\.distilled: expected no phases with method teacher"),
    ],
)
def test_students_of_phases_are_sampled_as_they_learned(values, message):
    with pytest.raises(InputError, match=message):
        validated(SamplingSettings, {"distilled": ["keyframes"], **values}, "sampling")
