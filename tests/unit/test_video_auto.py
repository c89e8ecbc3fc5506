import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_video_two_phase import CLIPS, EMBED, NOISE, UNGUIDED, B, T, seeded

from interdiff.keyframes.dynamic_programming import path_cost
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.planner.auto import AutoTwoPhase
from interdiff.video.planner.choosers import without_looking
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.settings import SamplingSettings
from interdiff.video.planner.two_phase import TwoPhase

COST = line_costs(CLIPS)


class Still(torch.nn.Module):
    """Leaves noise as it is."""

    def forward(self, z, sigma, embed, frames):
        return torch.zeros_like(z)


def both(looks=None):
    """Both phases, and how often keyframes were chosen."""

    def choose(noise, embed, truth):
        if looks is not None:
            looks.append(len(noise))
        return without_looking("fixed", COST, 3.0, 0)(noise, embed, truth)

    return TwoPhase(
        k=6,
        choose=choose,
        keyframes=Still(),
        interpolator=lerp,
        refiner=None,
        guidance=UNGUIDED,
        settings=SamplingSettings(steps=2, refiner_steps=0),
        levels=(4, 6),
        max_gap_factor=3.0,
        trained_noise=0.5,
    )


def indices_of(k):
    return both().choose(NOISE, EMBED, None).indices(k)


def sampled(tolerance, looks=None):
    return AutoTwoPhase(both(looks), lambda embed: COST, (3, 6), tolerance).sample(NOISE, EMBED, seeded(), CLIPS)


def test_each_clip_has_the_fewest_keyframes_whose_cost_is_tolerable():
    few = path_cost(COST, indices_of(3).numpy()) / T
    clips = sampled(float(np.sort(few)[1]))
    needed = [3 if cost <= np.sort(few)[1] else 6 for cost in few]
    assert sorted(needed) == [3, 3, 6, 6]
    assert clips.indices.shape == (B, 6)
    for clip, k in enumerate(needed):
        assert clips.indices[clip].unique().tolist() == indices_of(k)[clip].tolist()
    for k in (3, 6):
        rows = [clip for clip in range(B) if needed[clip] == k]
        alone = replace(both(), k=k).sample(NOISE, EMBED, seeded(), CLIPS)
        assert torch.equal(clips.refined[rows], alone.refined[rows])


def test_clips_of_all_numbers_are_looked_at_once():
    looks = []
    assert (
        len(
            {
                len(row.unique())
                for row in sampled(float(np.median(path_cost(COST, indices_of(3).numpy()) / T)), looks).indices
            }
        )
        == 2
    )
    assert looks == [B]


def test_where_no_number_is_tolerable_the_greatest_stands():
    assert (sampled(0.0).indices.diff() > 0).all()
    assert all(len(row.unique()) == 3 for row in sampled(math.inf).indices)


@pytest.mark.parametrize("asked", [{"k": 2}, {"k": "auto", "auto_counts": [2, 4]}])
def test_a_sampled_clip_has_a_keyframe_to_choose(asked):
    with pytest.raises(ValueError, match="k: 2 keyframes; expected at least 3"):
        SamplingSettings(**asked)
