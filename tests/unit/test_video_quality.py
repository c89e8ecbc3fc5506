import itertools
import weakref

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.evaluation.comparison import ADHERENCE, Reference, distances, measured, quality
from interdiff.video.evaluation.quality import (
    distance_from_real,
    distance_to,
    fit_features,
    frechet_distance,
    roughness,
    sharpness,
    statistics,
)


@pytest.fixture(scope="module")
def clips():
    videos = torch.from_numpy(np.stack([render(split_scene(0, "test", n), 81, 32) for n in range(200)]))
    return fit_linear_codec([videos[:30]], 4).encode(videos)


def filled_by_lines(z):
    out, known = z.clone(), [0, 7, 13, 20]
    for i, j in itertools.pairwise(known):
        for t in range(i + 1, j):
            out[:, :, t] = torch.lerp(z[:, :, i], z[:, :, j], (t - i) / (j - i))
    return out


SPOILED = {
    "noise": lambda z: z + 0.2 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0)),
    "blur": lambda z: F.avg_pool3d(z, (1, 3, 3), 1, (0, 1, 1)),
    "frozen": lambda z: z[:, :, :1].expand_as(z),
    "shuffled": lambda z: z[:, :, torch.randperm(z.shape[2], generator=torch.Generator().manual_seed(0))],
    "filled": filled_by_lines,
}


@pytest.mark.parametrize("way", SPOILED)
def test_the_frechet_distance_tells_spoiled_clips_from_real_ones(clips, way):
    features = fit_features(statistics(clips[100:]))
    real, own, spoiled = (features(statistics(z)) for z in (clips[64:], clips[:64], SPOILED[way](clips[:64])))
    assert frechet_distance(spoiled, real) > 1.4 * frechet_distance(own, real)


def test_the_frechet_distance_of_gaussians_is_known():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200_000, 2)), 3 + 2 * rng.standard_normal((200_000, 2))
    assert frechet_distance(a, b) == pytest.approx(2 * 9 + 2 * (1 - 2) ** 2, rel=0.01)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_smoothness_and_sharpness_are_of_the_kind_they_say(clips):
    few, line = clips[:20], torch.linspace(0, 1, 21)[:, None, None].expand(1, 16, 21, 8, 8)
    assert roughness(line).max() < 1e-4
    assert (roughness(filled_by_lines(few)) < roughness(few)).all()
    assert (sharpness(SPOILED["blur"](few)) < sharpness(few)).all()
    assert distance_from_real(np.arange(10.0) + 3, np.arange(10.0)) == pytest.approx(3 / np.arange(10.0).std())


def test_distance_is_the_root_mean_square_of_each_clip(clips):
    shifted = clips[:3] + torch.tensor([0.0, 0.5, 2.0])[:, None, None, None, None]
    np.testing.assert_allclose(distance_to(shifted, clips[:3]), [0, 0.5, 2], rtol=1e-5)


def test_a_row_compares_two_methods_on_the_same_prompts(clips):
    compared = Reference(measured(clips[100:]), measured(clips[64:100]))
    tracked = {name: np.arange(20.0) % 2 for name in ADHERENCE}
    exact, noisy = (
        quality(measured(z), distances(z, clips[:20]), tracked, compared)
        for z in (clips[:20], SPOILED["noise"](clips[:20]))
    )
    row = noisy.row(exact)
    assert row["distance"] == pytest.approx(0.2, rel=0.02)
    assert row["distance_vs_reference"] == row["distance"]
    assert row["frechet_vs_reference"] > 3 * row["frechet_vs_reference_se"] > 0
    assert row["adherence"] == 0.5
    assert row["adherence_se"] == pytest.approx(0.5 / np.sqrt(20), rel=0.3)
    assert row["adherence_vs_reference"] == row["adherence_vs_reference_se"] == 0


def test_clips_are_measured_one_by_one_as_they_are_together(clips):
    few, alive, most = clips[:12].half(), set(), 0

    def each(z):
        nonlocal most
        for n in range(len(z)):
            clip = z[n].float()
            alive.add(n)
            weakref.finalize(clip, alive.discard, n)
            most = max(most, len(alive))
            yield clip
            del clip

    own = measured(each(few))
    assert np.array_equal(own.statistics, statistics(few))
    assert np.array_equal(own.roughness, roughness(few))
    assert np.array_equal(own.sharpness, sharpness(few))
    away = distances(each(few), each(few.flip(0)))
    assert np.array_equal(away, distance_to(few, few.flip(0)))
    assert most <= 4


def test_without_a_tracker_the_other_figures_stand(clips):
    compared = Reference(measured(clips[100:]), measured(clips[64:100]))
    one = quality(measured(clips[:20]), np.zeros(20), {}, compared)
    assert not set(ADHERENCE) & set(one.row(one))
    assert {"frechet", "smoothness", "sharpness", "distance"} <= set(one.row(one))
