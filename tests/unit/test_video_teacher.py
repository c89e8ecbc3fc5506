"""A teacher that is passed on, and training that goes on from it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.files import read_json, write_json
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.backbone.backbone import build_backbone, load_backbone, transformer_config
from interdiff.video.backbone.flow_matching import Guidance, euler, even_levels
from interdiff.video.backbone.settings import TransformerSettings
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.scenes import split_scene
from interdiff.video.data.text import load_text_encoder
from interdiff.video.evaluation.tracker import adherence
from interdiff.workflow.config import load_config
from stages.video import teacher

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
FILES = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}


def written(folder, network, config):
    folder.mkdir(parents=True)
    paths = {name: folder / file for name, file in FILES.items()}
    save_checkpoint(paths, network, config, [{"step": 1, "loss": 0.5}])
    write_json(folder / "run.json", {"of": folder.name})
    return [*paths.values(), folder / "run.json"]


@pytest.fixture
def folder(tmp_path):
    size = TransformerSettings(num_layers=1, num_attention_heads=2, attention_head_dim=16, ffn_dim=32, coordinates=True)
    config = transformer_config(size, 24)
    torch.manual_seed(0)
    video = torch.randint(256, (1, 5, 16, 16, 3), dtype=torch.uint8)
    inputs = {
        "backbone": written(tmp_path / "backbone", build_backbone(**config), {"kind": "backbone", "model": config}),
        "codec": written(
            tmp_path / "codec", fit_linear_codec([video], 4), {"kind": "linear_codec", "model": {"factor": 4}}
        ),
    }
    made = tmp_path / "teacher"
    (made / "codec").mkdir(parents=True)
    outputs = {f"{part}{name}": made / part / file for part in ("", "codec") for name, file in FILES.items()}
    teacher.main(SimpleNamespace(inputs=inputs, outputs=outputs | {"sums": made / "SHA256SUMS"}))
    return made


def test_a_teacher_is_its_backbone_in_bf16_and_its_codec_as_it_is(folder):
    files = [folder / "config.json", folder / "model.safetensors"]
    own = load_backbone([folder.parent / "backbone" / file.name for file in files], CPU).state_dict()
    for name, tensor in load_backbone(files, CPU).state_dict().items():
        assert torch.equal(tensor, own[name].bfloat16().float())
    codecs = [load_codec(CodecUse(), where, CPU) for where in (folder / "codec", folder.parent / "codec")]
    assert torch.equal(codecs[0].basis, codecs[1].basis)
    assert [read_json(folder / part / "run.json")["of"] for part in ("", "codec")] == ["backbone", "codec"]
    assert (folder / "history.csv").read_text() == (folder.parent / "backbone" / "history.csv").read_text()


def test_a_teacher_that_was_changed_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"model\.safetensors: sha256 \w{64}; SHA256SUMS says"):
        load_backbone([folder / "config.json", path], CPU)
    path.unlink()
    with pytest.raises(InputError, match="no file"):
        load_backbone([folder / "config.json", path], CPU)


@torch.no_grad()
def test_the_shipped_teacher_draws_the_objects_that_prompts_name():
    """By the configuration's own paths and text encoder."""
    config = load_config(yaml.safe_load((ROOT / "config.yaml").read_text())).video
    where = ROOT / config.base.backbone.pretrained
    model = load_backbone([where / "config.json", where / "model.safetensors"], CPU).float()
    codec = load_codec(CodecUse(), ROOT / config.data.codec.folder, CPU)
    encoder = load_text_encoder(config.data.text, CPU)
    prompts = [split_scene(0, "val", number).prompt for number in range(6)]
    frames = torch.arange(config.data.clips.latent_frames).expand(len(prompts), -1)
    velocity = Guidance(4.5, encoder([""])[0]).velocity(model, encoder(prompts), frames)
    noise = torch.randn(len(prompts), 16, frames.shape[1], 8, 8, generator=torch.Generator().manual_seed(0))
    clips = codec.decode(euler(velocity, noise, even_levels(6, 5.0))).numpy()
    shown = [adherence(clip, prompt)["objects"] for clip, prompt in zip(clips, prompts, strict=True)]
    assert sum(shown) / len(shown) > 0.7
