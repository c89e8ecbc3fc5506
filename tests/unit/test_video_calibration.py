"""Expected errors that are the true ones in the mean, gap by gap."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.learning import draws
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.codec.codec import CHANNELS
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.evaluation.interpolation import calibration
from interdiff.video.figures.interpolation import widest_gap
from interdiff.video.interpolators.calibrated import Calibrated
from interdiff.video.interpolators.interpolator import Between, WithFallback, blend, fill
from interdiff.video.interpolators.loading import build_interpolator, interpolator_config, load_interpolator
from interdiff.video.interpolators.losses import error_scales, moments_of_all_gaps
from interdiff.video.interpolators.methods.flow import FlowInterpolator
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.settings import InterpolatorSettings
from interdiff.workflow.config import load_config
from stages.video import interpolator

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


class Sure:
    """Says of two lines that they are off by 1 and by 4 times the gap, everywhere."""

    def __call__(self, first, last, tau, gap):
        return self.answers(first, last, tau, gap)[0]

    def answers(self, first, last, tau, gap):
        error = gap[:, None, None, None].expand(*tau.shape, *first.shape[-2:])
        return [Between(blend(first, last, tau) + shift, error * times) for shift, times in ((0.5, 1.0), (6.0, 4.0))]


def module(answers):
    """An interpolator's call as a module."""
    made = torch.nn.Module()
    made.forward, made.answers = answers, answers.answers
    return made


def straight(frames, channels=2):
    """A clip along a line: one that a line fills exactly."""
    return torch.arange(float(frames))[None, :, None, None].expand(channels, frames, 3, 3).clone()


def test_of_a_clip_every_gap_is_met_once():
    z = straight(9)
    pairs = moments_of_all_gaps(z, 3, draws.generator_of(0))
    assert pairs.gap.tolist() == list(range(2, 9))
    torch.testing.assert_close(pairs.last[:, 0, 0, 0] - pairs.first[:, 0, 0, 0], pairs.gap)
    torch.testing.assert_close(pairs.truth[:, :, 0, 0, 0], pairs.first[:, 0, 0, :1] + pairs.tau * pairs.gap[:, None])


def test_scales_make_the_expected_error_the_true_one_of_each_answer_and_gap():
    """Clips of several lengths: the longest has the gaps that the others lack."""
    clips = [straight(frames) for frames in (5, 9, 7)]
    scales = error_scales(Sure(), clips, 3, draws.generator_of(0))
    gaps = torch.arange(2.0, 9)
    torch.testing.assert_close(scales, torch.stack([0.5 / gaps, 6.0 / (4 * gaps)]))
    model = Calibrated(module(Sure()), *scales.shape)
    model.scales.copy_(scales)
    assert isinstance(model, WithFallback)
    first, last = clips[1][None, :, 0].expand(3, -1, -1, -1), clips[1][None, :, 8].expand(3, -1, -1, -1)
    between = model(first, last, torch.full((3, 2), 0.5), torch.tensor([2.0, 8.0, 100.0]))
    mean = (1 / 0.5 + 1 / 6) / (1 / 0.5**2 + 1 / 6**2)
    expected = torch.tensor([mean, mean, mean * 100 / 8])  # beyond what was met, the last scale
    torch.testing.assert_close(between.error, expected[:, None, None, None].expand(-1, 2, 3, 3))


def test_answers_weigh_by_their_calibrated_errors():
    model = Calibrated(module(Sure()), 2, 1)
    model.scales[0] = 5.0
    first, last = straight(2)[:, 0][None], straight(2)[:, 1][None]
    mean = (1.0 / 10**2 + 6.5 / 8**2) / (1 / 10**2 + 1 / 8**2)
    torch.testing.assert_close(
        model(first, last, torch.tensor([[0.5]]), torch.tensor([2.0])).z, torch.full((1, 1, 2, 3, 3), mean)
    )


def test_where_nothing_moves_there_is_nothing_to_scale():
    assert torch.equal(error_scales(lerp, [torch.ones(2, 5, 3, 3)], 2, draws.generator_of(0)), torch.ones(1, 3))


def test_the_figure_is_expected_over_true():
    sums = np.array([[10.0, 3.0, 2.0, 9.0, 9.0, 9.0], [10.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    assert calibration(sums)[0] == pytest.approx(1.5)
    assert np.isnan(calibration(sums)[1])


@pytest.fixture
def stage_of(tmp_path):
    """The interpolator's stage by its settings, for twenty clips of noise, and these."""
    generator = draws.generator_of(3)
    latents = [torch.randn(16, 7, 4, 4, generator=generator).bfloat16() for _ in range(20)]
    samples = [
        (str(n), {"latent": z, "embed": torch.ones(1, 2).bfloat16(), "prompt": "-"}) for n, z in enumerate(latents)
    ]
    write_shard(tmp_path / "val.tar", samples, COLUMNS)
    write_index(tmp_path / "val.npz", [tmp_path / "val.tar"], COLUMNS)
    files = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}

    def stage(folder, **settings):
        told = InterpolatorSettings(calibrated_on=10, **settings)
        return SimpleNamespace(
            settings=SimpleNamespace(interpolator=told, training=told.training, rendered=None),
            device=CPU,
            path=lambda name: {"held_out": tmp_path / "val.npz"}[name],
            folder=lambda name: {"pretrained": Path(told.pretrained)}[name],
            progress=lambda numbers, label, unit: numbers,
            outputs={name: folder / file for name, file in files.items()},
        )

    return stage, latents


def test_the_stage_calibrates_on_held_out_clips_and_the_checkpoint_holds_it(tmp_path, stage_of):
    stage, latents = stage_of
    interpolator.main(stage(tmp_path, method="lerp"))
    made = load_interpolator(tmp_path, CPU)
    assert made.scales.shape == (1, 5)
    pairs = moments_of_all_gaps(latents[15].float(), 4, draws.generator_of(4))
    arguments = pairs.first, pairs.last, pairs.tau, pairs.gap
    calibrated, plain = made(*arguments), lerp(*arguments)
    torch.testing.assert_close(calibrated.z, plain.z)
    off = (calibrated.z - pairs.truth).abs().mean()
    # Lines expect what walks would leave, and these frames have nothing to do with each other.
    assert abs(calibrated.error.mean() / off - 1) < 0.05 < 0.3 < abs(plain.error.mean() / off - 1)


def test_pretrained_weights_are_taken_and_calibrated_here(tmp_path, stage_of):
    stage, _ = stage_of
    size = {"width": 8, "pair_blocks": 1, "time_blocks": 1, "cost_radius": 0}
    config = interpolator_config(InterpolatorSettings(flow=size), 16, None)
    torch.manual_seed(0)
    flow, theirs = build_interpolator(**config), tmp_path / "theirs"
    shipped = {"kind": "interpolator", "model": config | {"scales": [1, 3]}}
    outputs = stage(theirs).outputs
    save_checkpoint(outputs, Calibrated(flow, 1, 3), shipped, [{"step": 2.0, "loss": 0.5}])
    interpolator.main(stage(tmp_path / "own", flow=size, pretrained=str(theirs)))
    made = load_interpolator(tmp_path / "own", CPU)
    assert made.scales.shape == (1, 5)
    assert (made.scales != 1).any()
    assert (tmp_path / "own/history.csv").read_bytes() == (theirs / "history.csv").read_bytes()
    for name, tensor in flow.state_dict().items():
        assert torch.equal(made.inside.state_dict()[name], tensor)
    with pytest.raises(InputError, match=r"theirs/config\.json: a checkpoint for size="):
        interpolator.main(stage(tmp_path / "own", flow=size | {"width": 16}, pretrained=str(theirs)))


@torch.no_grad()
def test_the_shipped_weights_are_the_configuration_s_and_better_than_lines():
    video = load_config(yaml.safe_load((ROOT / "config.yaml").read_text())).video
    settings, data = video.base.interpolator, video.data
    shipped = load_interpolator(ROOT / settings.pretrained, CPU, **interpolator_config(settings, CHANNELS, None))
    codec = load_codec(CodecUse(), ROOT / data.codec.folder, CPU)
    scenes = [split_scene(0, "test", number) for number in range(8)]
    frames = np.stack([render(scene, data.clips.frames, data.clips.side) for scene in scenes])
    z = codec.encode(torch.from_numpy(frames))
    mask = torch.zeros(len(z), z.shape[2], dtype=torch.bool)
    mask[:, [0, 5, 14, 20]] = True
    off = [(fill(z, mask, method)[0] - z).abs().mean() for method in (shipped, lerp)]
    assert off[0] < 0.9 * off[1]


def test_flows_inside_are_still_drawn():
    flow = FlowInterpolator(2, 8, 1, 1, True, True, 0, 2, True, 1)
    z, mask = straight(9)[None], torch.tensor([[True] + 7 * [False] + [True]])
    with torch.no_grad():
        _, fields = widest_gap(Calibrated(flow, 1, 7), z, mask, lambda z: np.zeros((33, 3, 3, 3)))
    assert fields.keys() == {"expected", "true", "forward", "backward"}
