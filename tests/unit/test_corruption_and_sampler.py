import pytest
import torch

from interdiff.two_phase.corruption import degrade, with_anchor_errors
from interdiff.two_phase.interpolation import bridge_deviation, filling, interpolate, place_keyframes
from interdiff.two_phase.sampler import refine_over_levels

B, T, C = 3, 17, 4
LEVELS = [[0, 6, 16], [0, 3, 6, 12, 16], [0, 1, 3, 6, 9, 12, 14, 16]]
INDICES = torch.tensor(LEVELS[0]).expand(B, -1)


def mask_of(indices):
    return torch.zeros(B, T, dtype=torch.bool).index_fill(1, torch.tensor(indices), True)


MASKS = [mask_of(indices) for indices in LEVELS]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


CLEAN = normal(B, T, C)
ANCHOR_ERRORS = 0.1 * normal(B, 3, C, seed=1)
CACHED = CLEAN[:, LEVELS[0]] + ANCHOR_ERRORS


def sampled(refine, anchors, masks, method="linear", sigma=0.0, seed=0):
    """Interpolated and refined sequences, and the refiner's input at every level."""
    met = []

    def recorded(x, mask, deviation):
        met.append(x.clone())
        torch.testing.assert_close(deviation[..., 0], bridge_deviation(mask))
        return refine(x, mask)

    sequence, _ = place_keyframes(anchors, INDICES, T)
    result = refine_over_levels(
        recorded, sequence, masks, [sigma] * len(masks), filling(method), seeded(seed), lambda x: x
    )
    return *result, met


@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_degrading_leaves_anchors_untouched(method):
    degraded, deviation = degrade(CLEAN, MASKS[1], filling(method), 0.3, seeded())
    assert torch.equal(deviation[..., 0], bridge_deviation(MASKS[1]))
    assert torch.equal(degraded[MASKS[1]], CLEAN[MASKS[1]])
    filled = interpolate(CLEAN, MASKS[1], method)
    assert (degraded != filled)[~MASKS[1]].all()
    assert torch.equal(degrade(CLEAN, MASKS[1], filling(method), 0.0, seeded())[0], filled)


def test_noise_has_the_bridges_deviation_times_sigma():
    many = torch.zeros(4000, T, 1)
    mask = mask_of(LEVELS[0])[:1].expand(4000, -1)
    sigma = torch.tensor([0.5, 2.0]).repeat(2000)[:, None, None]
    degraded, _ = degrade(many, mask, filling("linear"), sigma, seeded())
    for half, value in ((0, 0.5), (1, 2.0)):
        expected = value * bridge_deviation(mask[:1])[0]
        torch.testing.assert_close(degraded[half::2, :, 0].std(0), expected, rtol=0.1, atol=1e-6)


def test_still_noise_is_that_of_one_frame():
    mask = MASKS[0]
    degraded, deviation = degrade(CLEAN, mask, filling("linear"), 0.3, seeded(), still=True)
    noise = ((degraded - interpolate(CLEAN, mask)) / deviation)[:, ~mask[0]]
    torch.testing.assert_close(noise, noise[:, :1].expand_as(noise), atol=1e-3, rtol=1e-3)
    assert (noise[0] != noise[1]).all()


def test_cached_anchors_are_met_at_probability_one():
    wrong, _ = with_anchor_errors(CLEAN, CACHED, INDICES, "linear", 1.0, 0.5, seeded())
    torch.testing.assert_close(wrong[:, LEVELS[0]], CACHED)
    torch.testing.assert_close(wrong - CLEAN, interpolate(wrong - CLEAN, MASKS[0]))


def test_jitter_stands_in_at_probability_zero():
    many = (5000, 1, 1)
    clean, cached, indices = CLEAN[:1].repeat(many), CACHED[:1].repeat(many), INDICES[:1].repeat(5000, 1)
    error = with_anchor_errors(clean.float(), cached.float(), indices, "linear", 0.0, 0.5, seeded())[0] - clean.float()
    assert (error[:, [0, -1]] == 0).all()
    assert error[:, 6].std().item() == pytest.approx(0.5, rel=0.03)


def test_a_share_of_the_batch_has_cached_errors():
    clean, cached, indices = torch.zeros(4000, T, C), torch.ones(4000, 3, C), INDICES[:1].repeat(4000, 1)
    wrong, exact = with_anchor_errors(clean, cached, indices, "linear", 0.8, 0.0, seeded())
    assert set(wrong[:, 6].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(exact, wrong[:, 6, 0] == 0)
    assert (wrong[:, 6, 0]).mean().item() == pytest.approx(0.8, abs=0.03)
    assert (wrong == wrong[:, :1, :1]).all()


def test_keyframes_are_placed_at_their_frames():
    sequence, mask = place_keyframes(CACHED, INDICES, T)
    assert torch.equal(sequence[:, LEVELS[0]], CACHED)
    assert torch.equal(mask, MASKS[0])
    assert (sequence[~mask] == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_a_perfect_refiner_gives_the_truth(count, method):
    interpolated, refined, met = sampled(lambda x, mask: CLEAN, CACHED, MASKS[:count], method)
    torch.testing.assert_close(refined, CLEAN)
    assert len(met) == count
    placed, _ = place_keyframes(CACHED, INDICES, T)
    torch.testing.assert_close(interpolated, interpolate(placed, MASKS[0], method))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_the_identity_gives_the_interpolation(count, method):
    interpolated, refined, _ = sampled(lambda x, mask: x, CACHED, MASKS[:count], method)
    torch.testing.assert_close(refined, interpolated)


@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_with_right_anchors_every_level_meets_the_degraded_truth(method):
    right = CLEAN[:, LEVELS[0]]
    _, _, met = sampled(lambda x, mask: CLEAN, right, MASKS, method)
    for x, mask in zip(met, MASKS, strict=True):
        torch.testing.assert_close(x, interpolate(CLEAN, mask, method))


@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_with_wrong_anchors_every_level_meets_what_training_made(method):
    wrong, _ = with_anchor_errors(CLEAN, CACHED, INDICES, method, 1.0, 0.0, seeded())
    _, _, met = sampled(lambda x, mask: CLEAN, CACHED, MASKS, method)
    for x, mask in zip(met, MASKS, strict=True):
        torch.testing.assert_close(x, degrade(wrong, mask, filling(method), 0.0, seeded())[0])


def test_with_noise_too():
    wrong, _ = with_anchor_errors(CLEAN, CACHED, INDICES, "linear", 1.0, 0.0, seeded())
    _, _, met = sampled(lambda x, mask: CLEAN, CACHED, MASKS, sigma=0.1, seed=5)
    noise = seeded(5)
    for x, mask in zip(met, MASKS, strict=True):
        torch.testing.assert_close(x, degrade(wrong, mask, filling("linear"), 0.1, noise)[0])


@pytest.mark.parametrize(("count", "fills"), [(1, 1), (2, 4)])
def test_no_mask_is_filled_twice_with_the_same_anchors(count, fills):
    filled = []

    def fill(x, mask):
        filled.append(mask)
        return filling("linear")(x, mask)

    sequence, _ = place_keyframes(CACHED, INDICES, T)
    given = MASKS[:count], [0.1] * count, fill, seeded(), lambda x: x
    refine_over_levels(lambda x, mask, deviation: x + 1, sequence, *given)
    assert len(filled) == fills


def test_the_projection_follows_every_pass():
    sequence, _ = place_keyframes(CACHED, INDICES, T)
    calls = []
    _, refined = refine_over_levels(
        lambda x, mask, deviation: x + 1,
        sequence,
        MASKS,
        [0.0] * 3,
        filling("linear"),
        seeded(),
        lambda x: calls.append(x) or x.clamp(0, 1),
    )
    assert len(calls) == 3
    assert refined.min() >= 0
    assert refined.max() <= 1
