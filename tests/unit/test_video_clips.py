import dataclasses

import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.video.codec.codec import latent_frames
from interdiff.video.codec.linear import LinearCodec, fit_linear_codec
from interdiff.video.data.scenes import COLORS, DIRECTIONS, EVENTS, Mover, Scene, paths, random_scene, render

FRAMES, SIDE = 81, 32


def scene(**changes):
    mover = Mover(
        color="red",
        shape="circle",
        size=0.15,
        start=(0.3, 0.5),
        direction="right",
        speed="slowly",
        event="nothing",
        turn_to="up",
        when="midway",
        time=0.5,
    )
    return Scene((dataclasses.replace(mover, **changes),), None, 3)


def steps(**changes):
    return np.diff(paths(scene(**changes), FRAMES)[0], axis=0)


def test_events_are_what_the_prompt_says():
    even = steps()
    np.testing.assert_allclose(even, np.tile([0.3 / 80, 0], (80, 1)), atol=1e-12)
    turned = steps(event="turns")
    np.testing.assert_allclose(turned[:40], even[:40])
    np.testing.assert_allclose(turned[40:], np.tile([0, -0.3 / 80], (40, 1)), atol=1e-12)
    assert np.allclose(steps(event="stops")[40:], 0)
    assert np.linalg.norm(steps(event="speeds up", start=(0.2, 0.5))[40:60], axis=1).min() > 2 * 0.3 / 80
    assert scene(event="turns").prompt == "A red circle moves right slowly and turns up midway."
    assert scene().prompt == "A red circle moves right slowly."


def test_objects_stay_in_the_picture_and_bounce():
    path = paths(scene(speed="quickly", start=(0.8, 0.5)), FRAMES)[0]
    assert path[:, 0].max() <= 0.85 + 1e-9
    assert (np.diff(path[:, 0]) < 0).any()
    for seed in range(20):
        drawn = random_scene(np.random.default_rng(seed))
        for mover, centres in zip(drawn.movers, paths(drawn, FRAMES), strict=True):
            assert (centres >= mover.size - 1e-9).all()
            assert (centres <= 1 - mover.size + 1e-9).all()


def test_scenes_differ_and_follow_their_seed():
    scenes = [random_scene(np.random.default_rng(seed)) for seed in range(200)]
    assert len({drawn.prompt for drawn in scenes}) > 150
    assert {mover.event for drawn in scenes for mover in drawn.movers} == set(EVENTS)
    assert {len(drawn.movers) for drawn in scenes} == {1, 2, 3}
    assert {drawn.pan for drawn in scenes} == {None, *DIRECTIONS}
    assert random_scene(np.random.default_rng(3)) == scenes[3]


@pytest.mark.parametrize("shape", ["circle", "square", "triangle"])
def test_an_object_is_drawn_where_it_is(shape):
    video = render(scene(shape=shape), FRAMES, SIDE)
    assert video.shape == (FRAMES, SIDE, SIDE, 3)
    assert video.dtype == np.uint8
    alike = np.abs(video[40] / 255 - np.array(COLORS["red"])).max(-1) < 0.02
    y, x = np.nonzero(alike)
    centre = paths(scene(), FRAMES)[0, 40] * SIDE - 0.5
    assert alike.sum() > 20
    np.testing.assert_allclose([x.mean(), y.mean()], centre, atol=0.8)


def test_later_objects_hide_earlier_ones():
    below, above = scene(color="red").movers[0], scene(color="blue").movers[0]
    video = render(Scene((below, above), None, 0), FRAMES, SIDE)
    assert np.abs(video[0] / 255 - np.array(COLORS["blue"])).max(-1).min() < 0.02
    assert np.abs(video[0] / 255 - np.array(COLORS["red"])).max(-1).min() > 0.1


def test_the_camera_pans_the_background():
    still, panned = (render(Scene((), pan, 5), FRAMES, SIDE).astype(int) for pan in (None, "right"))
    assert (still[0] == still[-1]).all()
    assert (panned[0] == still[0]).all()
    assert np.abs(panned[-1] - panned[0]).max() > 3


@pytest.fixture(scope="module")
def videos():
    return torch.from_numpy(
        np.stack([render(random_scene(np.random.default_rng(seed)), 21, SIDE) for seed in range(24)])
    )


def psnr(found, expected):
    return -10 * ((found.double() - expected.double()) / 255).square().mean().log10()


def test_the_fitted_codec_keeps_what_matters(videos):
    codec = fit_linear_codec([videos[:8], videos[8:16]], factor=4)
    z = codec.encode(videos[16:])
    assert z.shape == (8, 16, 6, 8, 8)
    known = codec.encode(videos[:16])
    torch.testing.assert_close(known.std((0, 2, 3, 4)), torch.ones(16), atol=0.05, rtol=0)
    torch.testing.assert_close(known.mean((0, 2, 3, 4)), torch.zeros(16), atol=0.05, rtol=0)
    assert psnr(codec.decode(z), videos[16:]) > 25


def test_decoding_undoes_encoding_of_what_the_codec_can_say(videos):
    codec = fit_linear_codec([videos[:8]], factor=8)
    decoded = codec.decode(codec.encode(videos[8:12]))
    assert psnr(codec.decode(codec.encode(decoded)), decoded) > 40


def test_a_still_video_has_equal_latent_frames(videos):
    codec = fit_linear_codec([videos[:8]], factor=4)
    z = codec.encode(videos[:1, :1].expand(-1, 21, -1, -1, -1))
    torch.testing.assert_close(z, z[:, :, :1].expand_as(z), atol=1e-4, rtol=0)


def test_other_numbers_of_frames_are_refused():
    assert [latent_frames(n) for n in (1, 5, 81)] == [1, 2, 21]
    for frames in (80, 82):
        with pytest.raises(InputError, match=f"{frames} frames; expected 1 \\+ 4 k"):
            LinearCodec(4).encode(torch.zeros(1, frames, 8, 8, 3, dtype=torch.uint8))
