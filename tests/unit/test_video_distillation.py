"""Distillation, where the answer is known: a Gaussian mixture in one dimension, and a Wan of one block."""

import math

import pytest
import torch
from test_video_two_phase import ALL, CLIPS, EMBED, NOISE, B, backbone, seeded  # noqa: F401

from interdiff.video.backbone.flow_matching import Guidance, noisy
from interdiff.video.backbone.wan import over_frames
from interdiff.video.distillation.consistency import continuous_loss, discrete_loss
from interdiff.video.distillation.matching import critic_loss, matching_loss
from interdiff.video.distillation.sampling import TIMES, few_steps, rollout
from interdiff.video.distillation.times import FilledBatch, FromFilled
from interdiff.video.distillation.trigflow import answering, clean, guided, level_of, mixed, moved_to, of_level
from interdiff.video.planner.settings import DistilledRefinerSettings

MEANS, SPREAD = (-1.0, 0.6), 0.3


def parts(t):
    """Means [2, ...] and the deviation of the mixture's components at times."""
    return torch.stack([mean * t.cos() for mean in MEANS]), ((SPREAD * t.cos()).square() + t.sin().square()).sqrt()


def mixture_velocity(x, t):
    """cos E[noise | x_t] - sin E[data | x_t], in closed form."""
    t = over_frames(t).to(x)
    means, deviation = parts(t)
    weights = torch.softmax(-0.5 * ((x - means) / deviation).square(), 0)
    shrunk = torch.stack([mean + (x - mean * t.cos()) * t.cos() * SPREAD**2 / deviation.square() for mean in MEANS])
    data = (weights * shrunk).sum(0)
    return (t.cos() * x - data) / t.sin()


def mixture_end(x, t):
    """Where the flow leads: in one dimension it keeps the order, so quantiles go to quantiles."""
    means, deviation = parts(over_frames(t).to(x).double())
    share = torch.special.ndtr((x.double() - means) / deviation).mean(0)
    low, high = torch.full_like(share, -6.0), torch.full_like(share, 6.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = torch.stack([torch.special.ndtr((middle - mean) / SPREAD) for mean in MEANS]).mean(0) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return middle.to(x)


def mixture_data(count, generator, frames=1):
    which = torch.rand(count, frames, generator=generator) < 0.5
    drawn = torch.where(which, *MEANS) + SPREAD * torch.randn(count, frames, generator=generator)
    return drawn[:, None, :, None, None]


class Student(torch.nn.Module):
    """The mixture's velocity and what it has learned."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(3, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)
        )
        torch.nn.init.zeros_(self.net[-1].weight)
        torch.nn.init.zeros_(self.net[-1].bias)

    def forward(self, x, t):
        told = t.to(x)
        features = torch.stack([x.flatten(1), told.cos(), told.sin()], -1)
        return mixture_velocity(x, t) + self.net(features).view_as(x)


def times(count, generator):
    return torch.atan(torch.exp(1.2 * torch.randn(count, 1, generator=generator, dtype=torch.float64)))


GRID = torch.linspace(math.pi / 2 - 0.01, 0.0, 25, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_a_student_of_a_mixture_learns_where_its_flow_leads(kind):
    student, generator = Student(), seeded()
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)

    def error():
        given = seeded(1)
        data, noise, t = mixture_data(2000, given), torch.randn(2000, 1, 1, 1, 1, generator=given), times(2000, given)
        x = mixed(data, noise, t)
        return (clean(x, student(x, t), t) - mixture_end(x, t)).square().mean().sqrt().item()

    with torch.no_grad():
        before = error()
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 300)
        data, noise = mixture_data(512, generator), torch.randn(512, 1, 1, 1, 1, generator=generator)
        if kind == "continuous":
            t = times(512, generator)
            found = continuous_loss(student, mixture_velocity, data, noise, t, torch.ones_like(t), min(1.0, step / 50))
        else:
            place = torch.randint(24, (512, 1), generator=generator)
            found = discrete_loss(student, mixture_velocity, data, noise, GRID[place], GRID[place + 1])
        assert found["bad"] == 0
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        assert error() < 0.4 * before


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_frames_of_different_times_learn_where_their_flow_leads(kind):
    """As phase 2's do: frames are independent here, so each one's end is still known."""
    student, generator = Student(), seeded()
    told = DistilledRefinerSettings(consistency=kind, discrete_times=24)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)

    def drawn(count, generator):
        data = mixture_data(count, generator, frames=2)
        noise, level = torch.randn(data.shape, generator=generator), torch.tensor([[0.97, 0.6]]).repeat(count, 1)
        return data, noise, FromFilled(FilledBatch(data, noise, level, None, None, data), told).moments(generator)

    @torch.no_grad()
    def error():
        data, noise, at = drawn(2000, seeded(1))
        x = mixed(data, noise, at.t)
        return (clean(x, student(x, at.t), at.t) - mixture_end(x, at.t)).square().mean().sqrt().item()

    before = error()
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 150)
        data, noise, at = drawn(128, generator)
        given = student, mixture_velocity, data, noise, at.t, at.onward
        found = continuous_loss(*given, min(1.0, step / 50)) if kind == "continuous" else discrete_loss(*given)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
    assert error() < 0.5 * before


def test_a_clip_whose_tangent_is_not_finite_counts_as_zero_and_is_counted():
    generator = seeded()
    data, noise, t = mixture_data(2, generator), torch.randn(2, 1, 1, 1, 1, generator=generator), times(2, generator)

    def broken(x, t):
        answer = mixture_velocity(x, t)
        return torch.cat([answer[:1], answer[1:] + (0 * x[1:]).sqrt()])  # finite, but its derivative is inf * 0

    alone = continuous_loss(mixture_velocity, mixture_velocity, data[:1], noise[:1], t[:1], torch.ones_like(t[:1]), 1.0)
    found = continuous_loss(broken, mixture_velocity, data, noise, t, torch.ones_like(t), 1.0)
    assert (alone["bad"], found["bad"]) == (0, 0.5)
    assert found["loss"] == pytest.approx(alone["loss"].item() / 2)


def test_the_flows_velocity_is_that_of_the_mixture():
    """The closed form against the change of the end that it leads to, which must be none."""
    t = torch.full((50, 1), 0.8, dtype=torch.float64)
    x = torch.linspace(-2, 2, 50).view(-1, 1, 1, 1, 1)
    later = moved_to(x, mixture_velocity(x, t), t, t - 1e-3)
    torch.testing.assert_close(mixture_end(later, t - 1e-3), mixture_end(x, t), atol=1e-4, rtol=0)


def test_a_denoiser_answers_in_trigflows_terms(backbone):  # noqa: F811
    sigma = torch.tensor([[0.2], [0.5], [0.9], [1.0]])
    z, t = noisy(CLIPS, NOISE, sigma), of_level(sigma.double())
    x = mixed(CLIPS, NOISE, t)
    velocity = answering(backbone, EMBED, ALL)(x, t)
    said = z - sigma[:, :, None, None, None] * backbone(z, sigma, EMBED, ALL)
    torch.testing.assert_close(clean(x, velocity, t), said, atol=1e-5, rtol=1e-4)
    each = t.expand(-1, z.shape[2])
    torch.testing.assert_close(answering(backbone, EMBED, ALL)(x, each), velocity, atol=1e-5, rtol=1e-4)


def test_guidance_of_trigflow_is_that_of_flow_matching(backbone):  # noqa: F811
    x, t, negative = NOISE, torch.full((B, 1), 1.2, dtype=torch.float64), torch.zeros_like(EMBED[0])
    with_prompt = answering(backbone, EMBED, ALL)(x, t)
    without = answering(backbone, negative.expand_as(EMBED), ALL)(x, t)
    found = guided(backbone, EMBED, ALL, Guidance(3.0, negative))(x, t)
    torch.testing.assert_close(found, without + 3 * (with_prompt - without), atol=1e-5, rtol=1e-4)
    assert torch.equal(guided(backbone, EMBED, ALL, Guidance(1.0, negative))(x, t), with_prompt)
    above = guided(backbone, EMBED, ALL, Guidance(3.0, negative, below=float(level_of(t[0])) - 0.01))
    torch.testing.assert_close(above(x, t), with_prompt, atol=1e-5, rtol=1e-4)


FRAME_TIMES = torch.linspace(0.1, 1.2, 9, dtype=torch.float64).repeat(B, 1)


@pytest.mark.parametrize("t", [torch.full((B, 1), 0.9, dtype=torch.float64), FRAME_TIMES])
def test_the_tangent_is_the_derivative_along_the_teachers_flow(backbone, t):  # noqa: F811
    """The loss's gradient pulls the student's answer along the tangent; one that is not finite counts for nothing."""
    rate = t / t.amax(1, keepdim=True)
    offset = torch.zeros_like(CLIPS, requires_grad=True)
    answer = answering(backbone, EMBED, ALL)
    teacher = lambda x, t: 0.5 * answer(x, t)  # noqa: E731
    whole = t, rate, 1.0
    found = continuous_loss(lambda x, t: answer(x, t) + offset, teacher, CLIPS, NOISE, *whole)
    found["loss"].backward()
    with torch.no_grad():
        x = mixed(CLIPS, NOISE, t)
        step, target = 1e-3, teacher(x, t)
        ends = [
            clean(y, answer(y, s), s)
            for y, s in ((x + step * way * over_frames(rate) * target, t + step * way * rate) for way in (1.0, -1.0))
        ]
        change = over_frames(t.cos()) * (ends[0] - ends[1]) / (2 * step)
    likeness = torch.nn.functional.cosine_similarity(offset.grad.flatten(1), -change.flatten(1))
    assert (likeness > 0.999).all()
    torch.testing.assert_close(offset.grad.flatten(1).norm(dim=1), torch.full((B,), 2 / B), rtol=0.15, atol=0)
    broken = lambda x, t: answer(x, t) * torch.where(torch.arange(B) == 1, math.inf, 1.0)[:, None, None, None, None]  # noqa: E731
    found = continuous_loss(broken, teacher, CLIPS, NOISE, *whole)
    assert found["bad"] == pytest.approx(1 / B)


def test_clips_move_from_what_the_critic_expects_to_what_the_teacher_does():
    made = CLIPS.clone().requires_grad_()
    t = torch.full((B, 1), 1.0, dtype=torch.float64)
    knows = lambda end: lambda x, t: (t.cos()[:, :, None, None, None].to(x) * x - end) / math.sin(1.0)  # noqa: E731
    teacher, critic = knows(CLIPS + 1.0), knows(CLIPS)
    assert matching_loss(made, teacher, teacher, NOISE, t) == 0
    matching_loss(made, teacher, critic, NOISE, t).backward()
    assert (made.grad < 0).all()
    assert critic_loss(critic, CLIPS, NOISE, t) < 1e-8
    assert critic_loss(teacher, CLIPS, NOISE, t) > 0.1


def test_a_rollout_learns_from_its_last_step_and_steps_are_those_of_sampling():
    calls = []
    weight = torch.ones((), requires_grad=True)

    def student(x, t):
        calls.append((torch.is_grad_enabled(), t.unique().item()))
        return weight * x

    at = [torch.full((B, 1), time, dtype=torch.float64) for time in TIMES[:3]]
    noises = [NOISE, NOISE.flip(0), NOISE.flip(2)]
    made = rollout(student, noises, at)
    assert calls == [(False, TIMES[0]), (False, TIMES[1]), (True, TIMES[2])]
    made.sum().backward()
    assert weight.grad != 0
    fresh = iter(noises[1:])
    sampled = few_steps(student, NOISE, 3, lambda: next(fresh))
    torch.testing.assert_close(sampled, made.detach())
