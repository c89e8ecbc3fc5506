"""An interpolator that may answer with the straight line, and clips on which it should."""

import pytest
import torch

from interdiff.learning import draws
from interdiff.learning.training import Objective
from interdiff.video.interpolators.interpolator import Between, least_error
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


def test_at_every_place_the_answer_of_the_least_expected_error_counts():
    z = [torch.full((1, 1, 2, 1, 3), value) for value in (1.0, 2.0, 3.0)]
    errors = [torch.tensor([[[row]]]) for row in ([0.1, 0.5, 0.2], [0.2, 0.4, 0.2], [0.3, 0.3, 0.9])]
    best = least_error([Between(*both) for both in zip(z, errors, strict=True)])
    assert best.z[0, 0, :, 0].tolist() == [[1.0, 3.0, 1.0]] * 2
    torch.testing.assert_close(best.error[0, 0, 0], torch.tensor([0.1, 0.3, 0.2]))


def test_a_flow_falls_back_on_the_line_where_it_expects_less_error_of_it():
    arguments = pairs()
    own = flow(fallback=False)(*arguments).z
    torch.testing.assert_close(expecting(-1.0, 1.0)(*arguments).z, own)
    straight = expecting(1.0, -1.0)(*arguments)
    assert torch.equal(straight.z, lerp(*arguments).z)
    assert not torch.equal(own, straight.z)
    assert straight.error.mean() < expecting(1.0, 1.0)(*arguments).error.mean()


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
