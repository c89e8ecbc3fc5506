from dataclasses import replace

import pytest
import torch

from interdiff.errors import InputError
from interdiff.learning.costs import counted_flops
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.training import Objective
from interdiff.settings import validated
from interdiff.two_phase.interpolation import place_keyframes
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.flow_matching import (
    Guidance,
    even_levels,
    noisy,
    take_frames,
)
from interdiff.video.backbone.losses import flow_matching_loss, random_frames
from interdiff.video.backbone.settings import TransformerSettings, TuningSettings
from interdiff.video.backbone.tuning import tuned
from interdiff.video.evaluation.sampling_costs import sampling_costs
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.planner.choosers import by_oracle, without_looking
from interdiff.video.planner.keyframes import keyframes_again, sample_keyframes
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.losses.refiner import FilledClips, energy_loss, nested_masks, root_mean_square
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.refiner import (
    EXACT,
    INEXACT,
    filling_with,
    flat,
    noise_levels,
    refined,
    start_from_fill,
)
from interdiff.video.planner.settings import KeyframesSettings, RefinerSettings, SamplingSettings
from interdiff.video.planner.two_phase import TwoPhase

B, T, DIM = 4, 9, 12
SHAPE = (16, 4, 4)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


CLIPS = torch.randn(B, 16, T, 4, 4, generator=seeded())
NOISE = torch.randn(B, 16, T, 4, 4, generator=seeded(1))
EMBED = torch.randn(B, 5, DIM, generator=seeded(2))
FRAMES = torch.tensor([[0, 2, 5, 8], [0, 1, 4, 8], [0, 3, 6, 8], [0, 4, 7, 8]])
ALL = torch.arange(T).expand(B, -1)
UNGUIDED = Guidance(1, torch.zeros(5, DIM))


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    settings = TransformerSettings(num_layers=1, num_attention_heads=2, attention_head_dim=16, ffn_dim=32)
    model = build_backbone(**transformer_config(settings, DIM))
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.05)
    return model.eval().requires_grad_(False)


class Ideal(torch.nn.Module):
    """Knows the clip: its velocity leads from any noise to it."""

    def forward(self, z, sigma, embed, frames, correction=False):
        return (z - take_frames(CLIPS[: len(z)], frames)) / sigma[:, None, :, None, None]


def test_phase_1_samples_the_frames_it_is_asked_for():
    made = sample_keyframes(Ideal(), take_frames(NOISE, FRAMES), EMBED, FRAMES, even_levels(3, 3.0), UNGUIDED)
    torch.testing.assert_close(made, take_frames(CLIPS, FRAMES), atol=1e-4, rtol=1e-3)


def test_the_fewer_steps_are_left_the_nearer_phase_1_stays(backbone):
    off = [
        (
            keyframes_again(backbone, CLIPS, NOISE, EMBED, FRAMES, even_levels(3, 3.0, start), UNGUIDED)
            - take_frames(CLIPS, FRAMES)
        )
        .square()
        .mean()
        for start in (0.1, 0.5, 1.0)
    ]
    assert 0 < off[0] < off[1] < off[2]


class Clips:
    """Batches of the same clips."""

    def __init__(self, **columns):
        self.columns = {"latent": CLIPS, "embed": EMBED, "row": torch.arange(B)} | columns

    def batch(self, done):
        return self.columns


def test_phase_1_learns_the_way_from_the_noise_that_clips_came_from():
    """A network that knows both has no loss with the kept noise, and has one without."""
    settings = KeyframesSettings(training=BlockwiseTrainingSettings(batch_size=B))

    def model(z, sigma, embed, frames):
        return take_frames(NOISE - CLIPS, frames)

    best = {4: FRAMES}

    def loss(clips):
        frames = ChosenFrames(clips, best, UNGUIDED.negative, settings)
        return Objective(frames.draw, flow_matching_loss)(model, seeded(), 0.0)["loss"]

    assert loss(Clips(noise=NOISE)) < 1e-8
    assert loss(Clips()) > 0.1


def test_frames_are_drawn_in_order_without_repeating():
    frames = random_frames(50, T, 5, seeded(), torch.device("cpu"))
    assert (frames.diff(dim=1) > 0).all()
    assert frames.min() == 0
    assert frames.max() == T - 1


def test_filling_sequences_is_filling_clips():
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    filled, deviation = filling_with(lerp, SHAPE)(flat(CLIPS), mask)
    z, error = fill(CLIPS, mask, lerp)
    assert torch.equal(filled, flat(z))
    assert torch.equal(deviation[..., :16], error.flatten(2))
    assert (deviation[mask] == 0).all()


def test_the_level_of_a_place_is_what_is_expected_of_it():
    mask = torch.zeros(2, T, dtype=torch.bool)
    mask[:, [0, -1]] = True
    deviation = torch.linspace(0.1, 0.5, 8).expand(2, T, -1)
    levels = noise_levels(deviation, mask, torch.tensor([True, False]))
    assert (levels[0, 0] == EXACT).all()
    assert (levels[1, 0] == INEXACT).all()
    assert torch.allclose(levels[:, 1:-1], deviation[:, 1:-1])


def test_what_is_sure_stays_and_a_frame_counts_as_the_mean_of_its_places():
    told = []

    def model(z, sigma, embed, frames, correction):
        told.append(sigma)
        return torch.ones_like(z)

    level = torch.zeros_like(flat(CLIPS))
    level[:, 3, :32] = 0.8
    moved = flat(CLIPS) - refined(model, flat(CLIPS), level, EMBED, SHAPE)
    torch.testing.assert_close(moved, level)
    assert told[0][0, 3] == pytest.approx(0.8 * (32 / level.shape[-1]) ** 0.5)


def test_phase_2_begins_with_the_filled_clip_as_it_is(backbone):
    model = tuned(backbone, TuningSettings())
    level = torch.full_like(flat(CLIPS), 0.3)
    assert not torch.allclose(refined(model, flat(CLIPS), level, EMBED, SHAPE), flat(CLIPS))
    start_from_fill(model)
    assert torch.equal(refined(model, flat(CLIPS), level, EMBED, SHAPE), flat(CLIPS))
    assert model(CLIPS, level.mean(-1), EMBED, torch.arange(T).expand(B, -1)).abs().mean() > 0.1
    with pytest.raises(InputError, match="kind: lora: expected full"):
        start_from_fill(tuned(backbone, TuningSettings(kind="lora", rank=2)))


def test_masks_of_training_hold_the_keyframes_and_are_of_every_level():
    masks = nested_masks(line_costs(CLIPS), (4, 6, 8), 3.0)
    drawn = [masks(torch.arange(B), FRAMES, seeded(n)) for n in range(20)]
    assert all(mask.gather(1, FRAMES).all() for mask in drawn)
    assert {int(count) for mask in drawn for count in mask.sum(1)} == {4, 6, 8}


def test_the_refiners_loss_is_that_of_what_it_makes(backbone):
    clips = Clips(frames=FRAMES[:, None], keyframes=take_frames(CLIPS, FRAMES)[:, None] + 0.3)
    masks = nested_masks(line_costs(CLIPS), (4,), 3.0)

    class Silent(torch.nn.Module):
        def forward(self, z, sigma, embed, frames, correction):
            return torch.zeros_like(z)

    def scalars(noise):
        settings = RefinerSettings(levels=[4], replace_probability=1.0, noise=noise)
        return Objective(FilledClips(clips, masks, lerp, settings).draw, energy_loss)(Silent(), seeded(), 0.0)

    still, noises = scalars(0.0), scalars(0.5)
    known, _ = place_keyframes(flat(clips.batch(0.0)["keyframes"][:, 0]), FRAMES, T)
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    error = filling_with(lerp, SHAPE)(known, mask)[0] - flat(CLIPS)
    torch.testing.assert_close(still["loss"], error.square().mean((1, 2)).sqrt().mean())
    assert float(still["spread"]) == 0
    assert float(noises["spread"]) > 0.1
    torch.testing.assert_close(noises["error"], noises["before"])
    torch.testing.assert_close(noises["loss"], noises["error"] - noises["spread"] / 2)


def test_the_refiners_loss_has_a_gradient_before_draws_differ():
    x = torch.zeros(2, 3, 4, requires_grad=True)
    root_mean_square(x).sum().backward()
    assert x.grad.isfinite().all()


def two_phase(backbone, keyframes=None, **settings):
    cost = line_costs(CLIPS)
    sampling = SamplingSettings(steps=2, **settings)
    return TwoPhase(
        k=4,
        choose=without_looking("fixed", cost, 3.0, 0),
        keyframes=keyframes or backbone,
        interpolator=lerp,
        refiner=backbone if sampling.refiner_steps else None,
        guidance=UNGUIDED,
        settings=sampling,
        levels=(4, 6),
        max_gap_factor=3.0,
        trained_noise=0.5,
    )


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_both_phases_end_to_end(backbone, passes):
    sampled = two_phase(backbone, keyframes=Ideal(), refiner_steps=passes).sample(NOISE, EMBED, seeded())
    anchors, mask = place_keyframes(flat(take_frames(CLIPS, sampled.indices)), sampled.indices, T)
    expected, _ = fill(anchors.unflatten(2, SHAPE).movedim(2, 1), mask, lerp)
    torch.testing.assert_close(sampled.interpolated, expected, atol=1e-4, rtol=1e-3)
    assert torch.equal(sampled.refined, sampled.interpolated) == (passes == 0)


def test_an_oracle_knows_the_keyframes_of_least_error(backbone):
    both = two_phase(backbone, refiner_steps=0, exact="keyframes")
    scheduled = both.sample(NOISE, EMBED, seeded(), CLIPS)
    best = replace(both, choose=by_oracle(3.0)).sample(NOISE, EMBED, seeded(), CLIPS)
    error, least = ((made.refined - CLIPS).square().mean((1, 2, 3, 4)) for made in (scheduled, best))
    assert (least <= error).all()
    assert (least < error).any()


@pytest.mark.parametrize("asked", [{}, {"exact": "keyframes", "k": "auto"}])
def test_an_oracle_needs_clips_to_look_at(asked):
    with pytest.raises(InputError, match=r"sampling\.selector: expected no oracle"):
        validated(SamplingSettings, {"selector": "oracle", **asked}, "sampling")


def test_phase_1_goes_on_from_what_a_look_shows():
    """By the straight line from there to the noise, whose velocity a network that knows the clips gives."""
    both = two_phase(Ideal(), refiner_steps=0, start=0.5)
    looked = replace(both, choose=lambda *given: replace(both.choose(*given), seen=CLIPS))
    steps = []
    made = looked.sample(NOISE, EMBED, seeded(), after=lambda z: steps.append(z) or z)
    torch.testing.assert_close(
        take_frames(made.refined, made.indices), take_frames(CLIPS, made.indices), atol=1e-4, rtol=1e-3
    )
    first = even_levels(2, 3.0, 0.5)[1]
    straight = noisy(*(take_frames(x, made.indices) for x in (CLIPS, NOISE)), torch.full((B, 1), first))
    torch.testing.assert_close(steps[0], straight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("asked", [{"selector": "fixed"}, {"method": "teacher"}, {"distilled": ["keyframes"]}])
def test_phase_1_starts_from_a_look_that_there_is(asked):
    with pytest.raises(InputError, match=r"sampling\.start: expected 1 but for phase 1 itself"):
        validated(SamplingSettings, {"start": 0.9, **asked}, "sampling")


def test_ground_truth_stands_in_for_what_it_is_told_to(backbone):
    """Each control differs from both phases in one part alone."""
    exact = two_phase(backbone, exact="keyframes", refiner_steps=0).sample(NOISE, EMBED, seeded(), CLIPS)
    ideal = two_phase(backbone, keyframes=Ideal(), refiner_steps=0).sample(NOISE, EMBED, seeded())
    torch.testing.assert_close(exact.refined, ideal.refined, atol=1e-4, rtol=1e-3)
    rest = two_phase(backbone, exact="rest", refiner_steps=0).sample(NOISE, EMBED, seeded(), CLIPS)
    made = two_phase(backbone, refiner_steps=0).sample(NOISE, EMBED, seeded())
    torch.testing.assert_close(take_frames(rest.refined, rest.indices), take_frames(made.refined, made.indices))
    others = torch.ones(B, T, dtype=torch.bool).scatter(1, rest.indices, False)
    assert torch.equal(rest.refined.movedim(2, 1)[others], CLIPS.movedim(2, 1)[others])
    with pytest.raises(InputError, match=r"sampling\.refiner_steps: expected 0 with exact: rest"):
        validated(SamplingSettings, {"exact": "rest"}, "sampling")
    with pytest.raises(InputError, match=r"sampling\.exact: expected nothing with method teacher"):
        validated(SamplingSettings, {"method": "teacher", "exact": "keyframes"}, "sampling")


def test_costs_count_what_is_run(backbone):
    """Two steps on 4 of 9 frames and a pass over all of them."""
    both = two_phase(backbone, refiner_steps=1)
    generator = seeded()
    costs = sampling_costs(lambda n, e: both.sample(n, e, generator), 1.0, backbone, NOISE, EMBED)
    assert costs["seconds"] == 0.25
    few = counted_flops(lambda: backbone(NOISE[:1, :, :4], torch.ones(1, 1), EMBED[:1], FRAMES[:1]))
    full = counted_flops(lambda: backbone(NOISE[:1], torch.ones(1, 1), EMBED[:1], ALL[:1]))
    refining = counted_flops(lambda: backbone(NOISE[:1], torch.ones(1, T), EMBED[:1], ALL[:1]))
    assert costs["full_step_units"] == pytest.approx((2 * few + refining) / full, rel=0.01)
