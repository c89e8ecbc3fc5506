import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.data.scenes import COLORS, DIRECTIONS, Mover, Scene, render, split_scene
from interdiff.video.evaluation.tracker import adherence, coverage, parse_prompt, track

SCENES = [split_scene(0, "test", number) for number in range(60)]


@pytest.fixture(scope="module")
def videos():
    return [render(scene, 81, 32) for scene in SCENES]


def mean_adherence(videos):
    rows = [adherence(video, scene.prompt) for video, scene in zip(videos, SCENES, strict=True)]
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def test_ground_truth_is_read_as_it_was_written(videos):
    """What is missing are objects that others hide from first to last, and late events next to a border."""
    means = mean_adherence(videos)
    assert means["adherence"] >= 0.95
    assert min(means.values()) >= 0.9


def test_prompts_are_easy_or_hard_by_their_objects_and_what_these_do(videos):
    for video, scene in list(zip(videos, SCENES, strict=True))[:20]:
        row = adherence(video, scene.prompt)
        acting = sum(mover.event != "nothing" for mover in scene.movers)
        assert np.isnan(row["easy"]) == (len(scene.movers) != 1)
        assert np.isnan(row["hard"]) == (len(scene.movers) != 3 or acting < 2)
        assert {row["easy"], row["hard"]} & {row["adherence"]} or np.isnan([row["easy"], row["hard"]]).all()


def test_so_is_what_the_codec_leaves_of_it(videos):
    codec = fit_linear_codec([torch.from_numpy(np.stack(videos[:30]))], 4)
    decoded = [codec.decode(codec.encode(torch.from_numpy(video)[None]))[0].numpy() for video in videos]
    assert mean_adherence(decoded)["adherence"] >= 0.95


def test_prompts_are_parsed_back_into_what_they_describe():
    for scene in SCENES:
        for mover, asked in zip(scene.movers, parse_prompt(scene.prompt), strict=True):
            assert (asked.color, asked.shape, asked.direction, asked.speed) == (
                mover.color, mover.shape, mover.direction, mover.speed,
            )  # fmt: skip
            assert asked.event == mover.event
            assert asked.turn_to == (mover.turn_to if mover.event == "turns" else None)
            assert asked.when == (None if mover.event == "nothing" else mover.when)


@pytest.mark.parametrize("prompt", ["", "A cat.", "A red circle moves up slowly. And then it rains."])
def test_other_prompts_are_errors(prompt):
    with pytest.raises(InputError, match="prompt"):
        parse_prompt(prompt)


def mover(**changes):
    values = {
        "color": "red", "shape": "circle", "size": 0.13, "start": (0.5, 0.5), "direction": "right", "speed": "slowly",
        "event": "nothing", "turn_to": "up", "when": "midway", "time": 0.5,
    }  # fmt: skip
    return Mover(**values | changes)


def test_a_wrong_direction_costs_what_it_says():
    scene = Scene((mover(),), None, 0)
    other = Scene((mover(direction="up"),), None, 0)
    assert adherence(render(scene, 81, 32), scene.prompt)["adherence"] == 1
    shown = adherence(render(other, 81, 32), scene.prompt)
    assert shown["directions"] == 0
    assert shown["objects"] == shown["shapes"] == shown["speeds"] == shown["events"] == 1


@pytest.mark.parametrize("when", ["early", "midway", "late"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_moment_of_a_turn_is_found(direction, when):
    time = {"early": 0.22, "midway": 0.5, "late": 0.78}[when]
    across = "up" if direction in ("left", "right") else "left"
    scene = Scene(
        (mover(direction=direction, event="turns", turn_to=across, when=when, time=time, speed="quickly"),), None, 0
    )
    found = track(coverage(render(scene, 81, 32))["red"], "red")
    assert (found.event, found.turn_to, found.when) == ("turns", across, when)


def test_an_object_that_is_not_there_fulfils_nothing():
    empty = np.full((81, 32, 32, 3), 50, np.uint8)
    assert not any(track(cover, color) for color, cover in coverage(empty).items())
    shown = adherence(empty, "A red circle moves up slowly and turns left early.")
    assert {value for value in shown.values() if not np.isnan(value)} == {0.0}


def test_only_the_objects_that_are_there_are_tracked():
    scene = Scene((mover(start=(0.25, 0.3)), mover(color="cyan", start=(0.25, 0.7))), None, 0)
    covers = coverage(render(scene, 81, 32))
    assert {color for color, cover in covers.items() if track(cover, color)} == {"red", "cyan"} < set(COLORS)
