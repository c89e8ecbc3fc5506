"""The losses of micro-batches are, on average, that of the whole batch: whatever a loss normalises by is drawn with it."""

import pytest
import torch

from interdiff.learning.draws import generator_of
from interdiff.learning.processes import micro_batch, part_slice
from interdiff.maze.planner.losses.refiner import CorruptedSequences, MaskedAnchors, refiner_loss
from interdiff.maze.planner.refiner import Refiner
from interdiff.maze.planner.settings import RefinerSettings
from interdiff.video.interpolators.interpolator import Between
from interdiff.video.interpolators.losses import WeightedMoments, interpolator_loss
from interdiff.video.interpolators.settings import LossSettings


def whole_and_parts(objective, loss, model, count=2):
    whole = loss(model, objective(count=1).draw(generator_of(3), 0.0))
    parts = []
    for number in range(count):
        with micro_batch(number, count):
            parts.append(loss(model, objective(number, count).draw(generator_of(3), 0.0)))
    assert whole.keys() == parts[0].keys()
    for name, value in whole.items():
        values = torch.stack([part[name] for part in parts])
        assert value.item() == pytest.approx(values.mean().item(), rel=1e-5), name
        assert values.std() > 0 or value == 0, name


def test_the_refiners(prepared_data):
    data = prepared_data(16)
    indices = torch.tensor([0, 5, 10, 15]).expand(len(data.states), -1)
    ranks = torch.full(data.states.shape[:2], 2, dtype=torch.uint8).scatter(1, indices, 0)
    anchors = MaskedAnchors(ranks, [4, 16], indices, data.states[:, indices[0]] + 0.1, 1.0)
    settings = RefinerSettings(training={"batch_size": 8})
    refiner = Refiner(frames=16, frames_per_token=2, interpolation="linear", noise=0.01, d_model=16, depth=1, heads=2)
    whole_and_parts(lambda *_, **__: CorruptedSequences(data, [anchors], settings), refiner_loss, refiner)


class Clips:
    """This part's clips of a batch of eight, of random latents, their masks and what optical flow filled."""

    def __init__(self, number=0, count=1):
        self.part = part_slice(number, count)

    def batch(self, done):
        numbers = generator_of(0)
        mask = torch.rand(8, 2, 9, generator=numbers) < 0.4
        mask[..., [0, -1]] = True
        latent = torch.randn(8, 2, 9, 4, 4, generator=numbers)
        filled = torch.randn(8, 2, 2, 9, 4, 4, generator=numbers)
        values = {"latent": latent, "filled": filled, "mask": mask.long()}
        return {name: value[self.part] for name, value in values.items()}


def line(first, last, tau, gap):
    z = torch.lerp(first[:, None], last[:, None], tau[:, :, None, None, None])
    return Between(z, z.abs().mean(2))


def test_the_interpolators_with_weights_by_gap():
    weights = LossSettings(gap_power=0.5, optical_flow=1.0, edges=1.0, scales=1.0, endpoint=0.0, consistency=0.0)
    whole_and_parts(lambda *part, **whole: WeightedMoments(Clips(*part, **whole), 3, weights), interpolator_loss, line)
