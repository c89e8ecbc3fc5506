"""Nothing that is done at every step waits for the device: on the meta device, which has no values to read, it all runs."""

import numpy as np
import pytest
import torch
from test_maze_networks import MASK, STATES, K, condition_of
from test_training import run, settings
from test_video_two_phase import CLIPS, EMBED, FRAMES, NOISE, UNGUIDED, B, Clips, T, backbone, two_phase
from torch.utils._python_dispatch import TorchDispatchMode

from interdiff.learning import draws
from interdiff.learning.parallel import without_weights
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.training import Objective
from interdiff.maze.planner.keyframes import known_entries
from interdiff.maze.planner.losses.segment_cost import Segments
from interdiff.two_phase.interpolation import filling
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler, sample_keyframes
from interdiff.two_phase.sampler import refine_over_levels
from interdiff.video.backbone.flow_matching import Guidance, euler, even_levels, take_frames, unipc
from interdiff.video.backbone.losses import RandomFrames, flow_matching_loss
from interdiff.video.backbone.settings import BackboneSettings
from interdiff.video.backbone.wan import first_blocks
from interdiff.video.interpolators.loading import build_interpolator
from interdiff.video.interpolators.losses import WeightedMoments, interpolator_loss
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.settings import LossSettings
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.losses.refiner import FilledClips, energy_loss, forcing_loss, nested_masks
from interdiff.video.planner.losses.segment_cost import LatentCosts, segment_cost_loss
from interdiff.video.planner.losses.selector import Paths, selector_loss
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.segment_cost import VideoSegmentCost
from interdiff.video.planner.selector import VideoSelector
from interdiff.video.planner.settings import KeyframesSettings, RefinerSettings

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


def test_what_is_made_of_a_network_is_where_it_is(there):
    made = first_blocks(there[0], 1, 8, "refiner.tuning")
    assert all(tensor.is_meta for tensor in made.parameters())


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


def test_training_reads_its_losses_when_they_are_logged_or_saved(tmp_path, monkeypatch):
    """Twelve steps, of which every fourth is logged and every third saved."""
    reads = []
    for name in ("tolist", "item", "numpy", "__float__", "__bool__"):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda x, *a, name=name, method=method, **k: reads.append(name) or method(x, *a, **k)
        )
    _, history = run(tmp_path, settings(steps=12, log_every=4, save_every=3))
    assert [row["step"] for row in history] == [4, 8, 12]
    assert reads.count("tolist") == 6
    assert len(reads) == 6


@pytest.fixture
def elsewhere():
    """Batches as training gets them: what chooses is on the CPU, the rest on a device that answers no question."""
    device = {"latent": CLIPS, "embed": EMBED, "noise": NOISE, "keyframes": take_frames(CLIPS, FRAMES)[:, None]}
    clips = Clips(**{name: value.to(META) for name, value in device.items()}, frames=FRAMES[:, None])
    clips.columns |= {"filled": CLIPS[:, None].to(META), "mask": torch.ones(B, 1, T, device=META)}
    return clips


def test_video_losses_read_nothing(elsewhere, there):
    model, generator, cost = there[0], draws.generator_of(0), line_costs(CLIPS)
    negative = UNGUIDED.negative.to(META)
    training = BlockwiseTrainingSettings(batch_size=B)
    size = {"frames": T, "features": 8, "text_dim": 12, "text": "attention", "d_model": 16, "depth": 1, "heads": 2}
    selector = VideoSelector(**size, looks=False, max_gap_factor=3.0).to(META)
    labels = torch.from_numpy(np.where(np.isfinite(cost), cost, 0.0))
    moments = WeightedMoments(elsewhere, 2, LossSettings(optical_flow=1.0))
    for objective, network in (
        (Objective(RandomFrames(elsewhere, negative, BackboneSettings(frames=[5])).draw, flow_matching_loss), model),
        (
            Objective(
                ChosenFrames(elsewhere, {4: FRAMES}, negative, KeyframesSettings(training=training)).draw,
                flow_matching_loss,
            ),
            model,
        ),
        (
            Objective(
                FilledClips(elsewhere, nested_masks(cost, (4, 6), 3.0), lerp, RefinerSettings(levels=[4])).draw,
                energy_loss,
            ),
            model,
        ),
        (
            Objective(
                FilledClips(
                    elsewhere, nested_masks(cost, (4, 6), 3.0), lerp, RefinerSettings(levels=[4], objective="forcing")
                ).draw,
                forcing_loss,
            ),
            model,
        ),
        (Objective(moments.draw, interpolator_loss), build_interpolator("smooth", {}, None)),
        (Objective(Paths(elsewhere, None, labels, {4: FRAMES}, 1.0, 1.0).draw, selector_loss), selector),
        (Objective(LatentCosts(elsewhere, labels, 4).draw, segment_cost_loss), VideoSegmentCost(**size).to(META)),
    ):
        assert objective(network, generator, 0.0)["loss"].is_meta


class Questions(TorchDispatchMode):
    """What asks a device how many there are of something."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._overloadpacket.__name__
        if "nonzero" in name or "unique" in name:
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def test_batches_of_mazes_are_drawn_without_a_question(prepared_data):
    data, generator = prepared_data(T), draws.generator_of(0)
    segments = Segments(data, 4, 2, 4, 3.0)
    segments.draw(generator, 0.0)
    with Questions() as questions:
        batch = segments.draw(generator, 0.0)
    assert not questions.names
    assert len(batch.condition.occupancy) == 2
    assert data.rows_of(1).tolist() == [3, 4, 5]
    assert data.rows_of(2).tolist() == []
    rows = torch.tensor([0, 2, 3, 4])
    for name, value in vars(data.condition(rows, 2)).items():
        assert torch.equal(value, getattr(data.condition(rows), name))
