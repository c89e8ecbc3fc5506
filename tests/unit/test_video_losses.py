import pytest
import torch

from interdiff.learning.training import Objective
from interdiff.video.interpolators.interpolator import Between
from interdiff.video.interpolators.losses import (
    Moments,
    WeightedMoments,
    absolute,
    calibration,
    edges,
    flow_losses,
    gap_weights,
    interpolator_loss,
    optical_flow_moments,
    random_moments,
    scales,
    straightener_loss,
)
from interdiff.video.interpolators.methods.flow import FlowInterpolator
from interdiff.video.interpolators.settings import InterpolatorSettings, LossSettings, StraightenerSettings
from interdiff.video.interpolators.straightener import Straightener


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clips(frames=21):
    """Clips [5, 2, T, 4, 4] that say where they are: channel 0 the clip, channel 1 the frame."""
    z = torch.zeros(5, 2, frames, 4, 4)
    z[:, 0] = torch.arange(5.0)[:, None, None, None]
    z[:, 1] = torch.arange(float(frames))[:, None, None]
    return z


def between(z, error=None):
    return Between(z, torch.ones(z[:, :, 0].shape) if error is None else error)


def test_moments_lie_inside_their_gap_and_gaps_are_equally_likely():
    rows = torch.arange(5).repeat(800)
    drawn = random_moments(clips()[rows], 3, seeded())
    first, last = drawn.first[:, 1, 0, 0], drawn.last[:, 1, 0, 0]
    assert torch.equal(drawn.first[:, 0, 0, 0].long(), rows)
    assert torch.equal(last - first, drawn.gap)
    torch.testing.assert_close(drawn.truth[:, :, 1, 0, 0], first[:, None] + drawn.tau * drawn.gap[:, None])
    assert (drawn.tau > 0).all()
    assert (drawn.tau < 1).all()
    counts = torch.bincount(drawn.gap.long(), minlength=21)
    assert counts[:2].sum() == 0
    assert counts[2:].min() > 0.6 * counts[2:].float().mean()


def test_a_clip_of_three_frames_has_one_moment():
    drawn = random_moments(clips(3)[2:3], 2, seeded())
    assert drawn.tau.tolist() == [[0.5, 0.5]]


def test_the_likelihood_is_best_at_the_true_error_and_leaves_latents_alone():
    z = torch.zeros(1, 1, 2, 4, 4, requires_grad=True)
    truth = torch.full((1, 1, 2, 4, 4), 0.3)
    likelihoods = [float(calibration(between(z, torch.full((1, 1, 4, 4), e)), truth)) for e in (0.1, 0.3, 0.9)]
    assert min(likelihoods) == likelihoods[1]
    error = torch.full((1, 1, 4, 4), 0.1, requires_grad=True)
    calibration(between(z, error), truth).backward()
    assert z.grad is None
    assert (error.grad < 0).all()


def test_edges_do_not_see_an_even_offset_and_scales_do():
    truth = torch.randn(2, 3, 2, 8, 8, generator=seeded())
    moved = between(truth + 0.5)
    assert float(edges(moved, truth)) == pytest.approx(0, abs=1e-6)
    assert float(scales(moved, truth)) == pytest.approx(1.0, abs=1e-5)
    assert float(edges(between(truth * 2), truth)) > 0.1


def test_long_gaps_weigh_more_on_request():
    truth = torch.zeros(2, 1, 2, 4, 4)
    z = truth.clone()
    z[1] = 1.0
    gap = torch.tensor([2.0, 18.0])
    assert float(absolute(between(z), truth, gap_weights(gap, 21, 0.0))) == pytest.approx(0.5)
    assert float(absolute(between(z), truth, gap_weights(gap, 21, 1.0))) == pytest.approx(0.5 * 18 / 11)
    assert gap_weights(torch.arange(2.0, 21), 21, 0.5).mean() == pytest.approx(1)


def test_flows_that_lead_back_and_fit_cost_nothing():
    model = FlowInterpolator(2, 8, 1, 1, True, True, 0, 2, True, 2)
    z = torch.randn(2, 2, 6, 6, generator=seeded())
    still = Moments(z, z, torch.full((2, 1), 0.5), torch.tensor([4.0, 4.0]), z[:, None])
    with torch.no_grad():
        losses = dict(flow_losses(model, still))
        model.flow.bias.fill_(1.0)
        moving = dict(flow_losses(model, still))
    assert losses.keys() == {"endpoint", "consistency"}
    assert all(float(value) == pytest.approx(0, abs=1e-5) for value in losses.values())
    assert all(float(value) > 0.1 for value in moving.values())


class Repeated:
    """Batches that are always the same."""

    def __init__(self, **columns):
        self.columns = columns

    def batch(self, done):
        return self.columns


def test_a_straightener_of_straight_clips_has_nothing_to_learn():
    settings = StraightenerSettings(couplings=2)
    model = Straightener(channels=2, couplings=2, form="convolutional", width=8, blocks=1)
    straight = straightener_loss(model, random_moments(clips(), settings.moments, seeded()), settings.straightness)
    assert float(straight["loss"].detach()) == pytest.approx(0, abs=1e-5)
    bent = straightener_loss(model, random_moments(clips() ** 2, settings.moments, seeded()), settings.straightness)
    assert float(bent["loss"].detach()) > 1
    assert float(bent["loss"].detach()) == pytest.approx(float(bent["absolute"] + 0.1 * bent["straightness"]))


def masked():
    """Clips of `clips` as two masks would have optical flow fill them: 100 more in every frame between."""
    mask = torch.zeros(5, 2, 21, dtype=torch.int64)
    mask[:, :, [0, 20]] = mask[:, 1, 5:12] = 1
    filled = clips()[:, None].repeat(1, 2, 1, 1, 1, 1)
    return filled + 100 * (mask == 0)[:, :, None, :, None, None], mask


def test_what_optical_flow_made_of_missing_frames_is_the_truth():
    filled, mask = masked()
    rows = torch.arange(5).repeat(400)
    taught = optical_flow_moments(filled[rows], mask[rows], seeded())
    first, last = taught.first[:, 1, 0, 0], taught.last[:, 1, 0, 0]
    frame = taught.truth[:, 0, 1, 0, 0] - 100
    assert torch.equal(taught.first[:, 0, 0, 0].long(), rows)
    torch.testing.assert_close(frame, first + taught.tau[:, 0] * taught.gap)
    assert set(taught.gap.tolist()) == {5.0, 9.0, 20.0}
    assert torch.equal(last - first, taught.gap)
    assert set(frame[taught.gap == 20].tolist()) == set(range(1, 20))


def test_every_weighted_loss_counts():
    filled, mask = masked()
    batches = Repeated(latent=clips(), filled=filled, mask=mask)
    torch.manual_seed(0)
    model = FlowInterpolator(2, 8, 1, 1, True, True, 0, 2, True, 2)
    names = ("absolute", "likelihood", "edges", "scales", "endpoint", "consistency", "optical_flow")

    def losses(**weights):
        settings = InterpolatorSettings(losses=LossSettings(**dict.fromkeys(names, 0.0) | weights))
        moments = WeightedMoments(batches, settings.moments, settings.losses)
        return Objective(moments.draw, interpolator_loss)(model, seeded(), 0.0)

    every = losses(**dict.fromkeys(names, 1.0))
    assert {"loss", *names} == every.keys()
    for name in names:
        assert float(losses(**{name: 2.0})["loss"].detach()) == pytest.approx(2 * float(every[name]), rel=1e-4)
    assert "optical_flow" not in losses(absolute=1.0)
