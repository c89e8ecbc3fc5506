"""An interpolator that may answer with the straight line, and clips on which it should."""

import pytest
import torch

from interdiff.learning import draws
from interdiff.learning.training import Objective
from interdiff.video.interpolators.interpolator import Between, weighted
from interdiff.video.interpolators.losses import WeightedMoments, calibration, interpolator_loss, random_moments
from interdiff.video.interpolators.methods.flow import FlowInterpolator
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.settings import InterpolatorSettings, LossSettings

FLOW = {"channels": 4, "width": 16, "pair_blocks": 1, "time_blocks": 1, "gap_conditioning": True, "time_mask": True}
FLOW |= {"cost_radius": 1, "cost_scale": 1, "residual": True, "scale": 2}


def flow(fallback=True):
    """A flow network whose last layers, zero at first, move and correct."""
    torch.manual_seed(0)
    model = FlowInterpolator(**FLOW, fallback=fallback)
    torch.manual_seed(0)
    for layer in (model.flow, model.out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return model


def expecting(own, straight):
    """One that expects such errors of its own answer and of the straight line, everywhere."""
    model = flow()
    with torch.no_grad():
        model.error.second.bias.copy_(torch.tensor([own, straight]))
    return model


def pairs(batch=2, size=(6, 8)):
    first, last = torch.randn(2, batch, 4, *size, generator=draws.generator_of(0))
    return first, last, torch.tensor([[0.25, 0.5, 0.75]] * batch), torch.full((batch,), 4.0)


def test_answers_weigh_as_the_inverse_squares_of_their_expected_errors():
    z = [torch.full((1, 1, 2, 1, 2), value) for value in (1.0, 2.0)]
    errors = [torch.tensor([[[row]]]) for row in ([0.1, 0.4], [0.2, 0.1])]
    mean = weighted([Between(*both) for both in zip(z, errors, strict=True)])
    torch.testing.assert_close(mean.z[0, 0, :, 0], torch.tensor([[1.2, 2 - 1 / 17]] * 2))
    torch.testing.assert_close(mean.error[0, 0, 0], torch.tensor([0.12, (0.4 + 1.6) / 17]))


def test_no_other_mean_of_two_independent_guesses_is_nearer():
    draw = draws.generator_of(0)
    truth, deviations = torch.randn(2000, 1, 1, 1, 4, generator=draw), torch.tensor([0.2, 0.5])
    answers = [
        Between(truth + d * torch.randn(truth.shape, generator=draw), torch.full((2000, 1, 1, 4), float(d)))
        for d in deviations
    ]
    best = (weighted(answers).z - truth).square().mean()
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert best < (share * answers[0].z + (1 - share) * answers[1].z - truth).square().mean()


def test_a_flow_falls_back_on_the_line_where_it_expects_less_error_of_it():
    arguments = pairs()
    own, line = flow(fallback=False)(*arguments).z, lerp(*arguments).z
    torch.testing.assert_close(expecting(-7.0, 9.0)(*arguments).z, own, atol=1e-3, rtol=1e-3)
    straight = expecting(9.0, -7.0)(*arguments)
    torch.testing.assert_close(straight.z, line, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(own, line, atol=1e-2)
    assert straight.error.mean() < expecting(9.0, 9.0)(*arguments).error.mean()


def test_both_errors_learn_and_nothing_of_them_reaches_the_rest():
    model, weights = flow(), LossSettings(absolute=0.0, likelihood=1.0)
    z = torch.randn(3, 4, 9, 6, 8, generator=draws.generator_of(1))
    clips = type("Clips", (), {"batch": lambda self, done: {"latent": z}})()
    objective = Objective(WeightedMoments(clips, 3, weights).draw, interpolator_loss)
    losses = objective(model, draws.generator_of(0), 0.0)
    moments = random_moments(z, 3, draws.generator_of(0))
    answers = model.answers(moments.first, moments.last, moments.tau, moments.gap)
    torch.testing.assert_close(answers[1].z, lerp(moments.first, moments.last, moments.tau, moments.gap).z)
    torch.testing.assert_close(losses["loss"], sum(calibration(answer, moments.truth) for answer in answers))
    losses["loss"].backward()
    assert model.error.second.bias.grad.abs().min() > 0
    learns = [
        name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()
    ]
    assert {name.split(".")[0] for name in learns} == {"error"}


def test_the_absolute_error_is_that_of_the_own_answer():
    """Even where the line stands: what falls back would not learn."""
    z = torch.randn(3, 4, 9, 6, 8, generator=draws.generator_of(1))
    clips = type("Clips", (), {"batch": lambda self, done: {"latent": z}})()
    objective = Objective(WeightedMoments(clips, 3, LossSettings(optical_flow=0.0)).draw, interpolator_loss)
    found = [objective(model, draws.generator_of(0), 0.0)["absolute"] for model in (flow(False), expecting(1.0, -1.0))]
    torch.testing.assert_close(*found)


def test_a_fallback_needs_plain_latents():
    with pytest.raises(ValueError, match=r"flow\.fallback: expected false where straightened is true"):
        InterpolatorSettings(straightened=True, flow={"fallback": True})
