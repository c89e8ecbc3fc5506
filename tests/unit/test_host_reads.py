"""Nothing that is done at every step waits for the device: on the meta device, which has no values to read, it all runs."""

import pytest
import torch
from test_maze_networks import MASK, STATES, K, condition_of
from test_video_two_phase import EMBED, NOISE, UNGUIDED, B, backbone, two_phase

from interdiff.learning import draws
from interdiff.learning.parallel import without_weights
from interdiff.maze.planner.keyframes import known_entries
from interdiff.two_phase.interpolation import filling
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler, sample_keyframes
from interdiff.two_phase.sampler import refine_over_levels
from interdiff.video.backbone.flow_matching import Guidance, euler, even_levels, unipc

__all__ = ["backbone"]
META = torch.device("meta")


@pytest.fixture
def there(backbone):
    """The backbone, noise and prompts on a device that answers no question."""
    return without_weights(backbone).to(META), NOISE.to(META), EMBED.to(META)


def test_steps_of_the_backbone_read_nothing(there):
    model, noise, embed = there
    frames = torch.arange(noise.shape[2], device=META).expand(B, -1)
    velocity = Guidance(3.0, UNGUIDED.negative.to(META), below=0.9).velocity(model, embed, frames)
    assert euler(velocity, noise, even_levels(4, 5.0)).shape == noise.shape
    assert unipc(velocity, noise, 3, 5.0).shape == noise.shape


@pytest.mark.parametrize("passes", [0, 2])
def test_both_phases_read_nothing_where_nothing_on_the_device_chooses_keyframes(there, passes):
    model, noise, embed = there
    sampled = two_phase(model, refiner_steps=passes, noise=1.0).sample(noise, embed, draws.generator_of(0))
    assert sampled.refined.shape == noise.shape
    assert sampled.refined.is_meta
    assert not sampled.indices.is_meta


def test_steps_of_the_mazes_phases_read_nothing():
    condition = condition_of()
    values, known = (x.to(META) for x in known_entries(condition.start, condition.goal, K))
    generator = draws.generator_of(0)
    z = sample_keyframes(keyframe_scheduler(), lambda z, level: z, values, known, 3, generator)
    assert z.shape == values.shape
    masks = [mask.to(META) for mask in (MASK, MASK.roll(1, 1) | MASK)]
    sequences = refine_over_levels(
        lambda x, mask, deviation: x, STATES.to(META), masks, [0.1, 0.1], filling("linear"), generator, lambda x: x
    )
    assert sequences[1].shape == STATES.shape
