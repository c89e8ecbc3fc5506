"""Shards of film clips."""

import tarfile
from types import SimpleNamespace

import pytest
import torch
from test_video_lsmdc import brightening, coded, line, numbers, read, written

from interdiff.errors import InputError
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.encoding import pictures
from interdiff.video.data.folder import Video
from interdiff.video.data.settings import LsmdcSettings, TextSettings
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS
from interdiff.workflow.pipelines.video_stages import LsmdcStageSettings
from interdiff.workflow.stage import Stage
from stages import encoding
from stages.video import lsmdc as stage_module


@pytest.fixture
def stage(tmp_path, monkeypatch):
    names = [f"0001_Film_00.00.{n:02d}.000-00.00.{n + 2:02d}.000" for n in range(10, 15)]
    lines = [line(name, f"Number {n}.") for n, name in enumerate(names)]
    (tmp_path / "videos").mkdir()
    for name in names:
        coded(tmp_path / f"videos/{name}.avi", brightening(6))
    codec = LinearCodec(8)
    codec.basis += torch.eye(*codec.basis.shape)
    monkeypatch.setattr(encoding, "load_codec", lambda *_: codec)
    monkeypatch.setattr(
        encoding, "load_text_encoder", lambda *_: lambda prompts: torch.full((1, 4, 8), float(prompts[0][7]))
    )
    lsmdc = LsmdcSettings(videos=str(tmp_path / "videos"), size=(16, 32), per_shard=2, seconds=0.5)

    def make(number=0, **changes):
        settings = LsmdcStageSettings(
            codec=CodecUse(), text=TextSettings(), lsmdc=lsmdc, number=number, frames=5
        ).model_copy(update=changes)
        inputs = {"annotations": [written(tmp_path / "a.csv", *lines)], "codec": [tmp_path / "codec/config.json"]}
        outputs = {"shard": tmp_path / f"{number}.tar"}
        return Stage("video.lsmdc", {}, settings, inputs, outputs, 1, 0, tmp_path)

    return SimpleNamespace(make=make, codec=codec, folder=tmp_path, lsmdc=lsmdc)


def test_a_shard_holds_its_rows(stage):
    for number in (0, 2):
        stage_module.main(stage.make(number))
    shards = [stage.folder / "0.tar", stage.folder / "2.tar"]
    write_index(stage.folder / "index.npz", shards, COLUMNS)
    data = ShardDataset(stage.folder / "index.npz")
    assert data.keys == [f"0001_Film_00_00_{n}_000-00_00_{n + 2}_000" for n in (10, 11, 14)]
    assert [data[n]["prompt"] for n in range(3)] == ["Number 0.", "Number 1.", "Number 4."]
    assert [data[n]["embed"].unique().item() for n in range(3)] == [0, 1, 4]
    path = next((stage.folder / "videos").glob("*00.00.10*"))
    expected = stage.codec.encode(torch.from_numpy(read(path, size=(16, 32), seconds=0.5))[None])[0].bfloat16()
    assert expected.shape == (16, 2, 2, 4)
    assert torch.equal(data[0]["latent"], expected)
    with tarfile.open(shards[1]) as tar:
        assert {name.partition(".")[0] for name in tar.getnames()} == {data.keys[2]}


def test_a_random_part_depends_on_seed_and_key(stage):
    path = next((stage.folder / "videos").glob("*.avi"))

    def part(seed, key="a"):
        lsmdc = stage.lsmdc.model_copy(update={"crop": "random", "seconds": 0.1, "seed": seed})
        return numbers(pictures(Video(key, path, ""), 1, lsmdc))

    assert part(0) == part(0)
    assert len({tuple(part(seed)) for seed in range(12)}) > 1
    assert len({tuple(part(0, key)) for key in "abcdefghijkl"}) > 1


def test_shards_past_the_end_and_sizes_that_do_not_fit_are_refused(stage):
    with pytest.raises(InputError, match=r"a.csv: 5 clips; shard 3 of 2 each would begin after 6"):
        stage_module.main(stage.make(3))
    with pytest.raises(InputError, match=r"size: 16 x 24; expected multiples of 16, two latents"):
        stage_module.main(stage.make(lsmdc=stage.lsmdc.model_copy(update={"size": (16, 24)})))
    with pytest.raises(InputError, match=r"6 frames; expected 1 \+ 4 k"):
        stage_module.main(stage.make(frames=6))
    assert not list(stage.folder.glob("*.tar"))


def test_shorter_clips_are_left_out_and_counted_on_request_alone(stage, capsys):
    short = next((stage.folder / "videos").glob("*00.00.10*"))
    coded(short, brightening(3))
    with pytest.raises(InputError, match=r"00.00.10.*: 0.30 s; expected 0.5 s"):
        stage_module.main(stage.make())
    stage_module.main(stage.make(lsmdc=stage.lsmdc.model_copy(update={"short": "skip"})))
    write_index(stage.folder / "index.npz", [stage.folder / "0.tar"], COLUMNS)
    assert ShardDataset(stage.folder / "index.npz").keys == ["0001_Film_00_00_11_000-00_00_13_000"]
    assert "left out: 1 videos shorter than 0.5 s" in capsys.readouterr().out
    stage_module.main(stage.make(lsmdc=stage.lsmdc.model_copy(update={"short": "pad"})))
    write_index(stage.folder / "index.npz", [stage.folder / "0.tar"], COLUMNS)
    assert len(ShardDataset(stage.folder / "index.npz").keys) == 2
