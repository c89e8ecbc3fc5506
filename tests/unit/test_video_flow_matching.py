"""Noise levels, solvers and guidance."""

import pytest
import torch
from test_video_two_phase import ALL, CLIPS, DIM, NOISE, B, seeded

from interdiff.video.backbone.flow_matching import (
    Guidance,
    drop_prompts,
    euler,
    even_levels,
    noisy,
    shifted,
    unipc,
)


def test_levels_are_even_before_they_are_shifted():
    assert even_levels(4, 1.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert even_levels(2, 3.0) == pytest.approx([1, 0.75, 0])
    later = even_levels(2, 3.0, start=0.75)
    assert later == pytest.approx([0.75, float(shifted(torch.tensor(0.25), 3.0)), 0])


@pytest.mark.parametrize("solve", [lambda v: euler(v, NOISE, even_levels(3, 3.0)), lambda v: unipc(v, NOISE, 4, 3.0)])
def test_solvers_follow_a_straight_flow_to_its_end(solve):
    """With velocity noise - data everywhere on the line, any number of steps arrives at the data."""
    torch.testing.assert_close(solve(lambda z, sigma: NOISE - CLIPS), CLIPS, atol=1e-4, rtol=1e-3)


def test_solvers_are_told_the_level_that_frames_are_at():
    def velocity(z, level):
        torch.testing.assert_close(z, noisy(CLIPS, NOISE, torch.full((B, 1), level)), atol=1e-4, rtol=1e-3)
        return NOISE - CLIPS

    euler(velocity, NOISE, even_levels(5, 3.0))
    unipc(velocity, NOISE, 5, 3.0)


def test_a_share_of_prompts_is_dropped():
    embed, negative = torch.ones(1000, 5, DIM), torch.zeros(5, DIM)
    dropped = drop_prompts(embed, negative, 0.3, seeded()).mean((1, 2))
    assert set(dropped.tolist()) == {0.0, 1.0}
    assert dropped.mean() == pytest.approx(0.7, abs=0.05)
    assert torch.equal(drop_prompts(embed, negative, 0.0, seeded()), embed)


def test_guidance_leads_away_from_the_negative_prompt():
    def model(z, sigma, embed, frames):
        return embed.mean((1, 2))[:, None, None, None, None].expand_as(z)

    negative = torch.full((5, DIM), -1.0)
    velocity = Guidance(3.0, negative).velocity(model, torch.full((B, 5, DIM), 2.0), ALL)
    assert (velocity(NOISE, 1.0) == -1 + 3 * 3).all()
    velocity = Guidance(3.0, negative, below=0.9).velocity(model, torch.full((B, 5, DIM), 2.0), ALL)
    assert (velocity(NOISE, 0.95) == 2).all()
    assert (velocity(NOISE, 0.85) == -1 + 3 * 3).all()
