"""Folders of Wan as people have them: diffusers' or original names, prefixes, parts, and other models."""

import copy
import json

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from interdiff.errors import InputError
from interdiff.video.backbone import sizes
from interdiff.video.backbone.wan_config import wan_config
from interdiff.video.backbone.wan_folder import WEIGHTS, load_wan

CPU = torch.device("cpu")
TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 24,
    "freq_dim": 16,
    "ffn_dim": 48,
    "num_layers": 2,
}
ORIGINAL_CONFIG = {
    "_class_name": "WanModel",
    "model_type": "t2v",
    "dim": 32,
    "ffn_dim": 48,
    "freq_dim": 16,
    "in_dim": 16,
    "num_heads": 2,
    "num_layers": 2,
    "out_dim": 16,
    "text_dim": 24,
    "text_len": 512,
    "eps": 1e-6,
}
ORIGINAL = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "attn1.": "self_attn.",
    "attn2.": "cross_attn.",
    ".to_out.0.": ".o.",
    ".to_q.": ".q.",
    ".to_k.": ".k.",
    ".to_v.": ".v.",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "norm2": "norm3",
    "proj_out": "head.head",
}


def original(name):
    """Original Wan's name of a tensor of diffusers'."""
    if name == "scale_shift_table":
        return "head.modulation"
    name = name.replace("scale_shift_table", "modulation")
    for ours, theirs in ORIGINAL.items():
        name = name.replace(ours, theirs)
    return name


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    WanTransformer3DModel(**TINY).save_pretrained(tmp_path / "wan")
    return tmp_path / "wan"


def exact(folder):
    """Names, types and values by diffusers itself."""
    model = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.bfloat16)
    return copy.deepcopy(model.state_dict()), model.rope.freqs_cos


def same(model, expected):
    tensors, turns = expected
    found = model.transformer.state_dict()
    assert {name: (t.dtype, t.shape) for name, t in found.items()} == {
        n: (t.dtype, t.shape) for n, t in tensors.items()
    }
    return all(torch.equal(found[name], tensors[name]) for name in found) and torch.equal(
        model.transformer.rope.freqs_cos, turns
    )


def rewrite(folder, change):
    """Change the tensors of the folder's only file."""
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def configure(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("names", ["diffusers", "original"])
@pytest.mark.parametrize("config", ["diffusers", "original"])
def test_what_can_be_mapped_is_loaded(folder, prefix, names, config):
    expected = exact(folder)
    rename = original if names == "original" else str
    beside = {"first_stage_model.conv.weight": torch.ones(1)} if prefix else {}
    rewrite(folder, lambda tensors: beside | {prefix + rename(name): tensor for name, tensor in tensors.items()})
    if config == "original":
        (folder / "config.json").write_text(json.dumps(ORIGINAL_CONFIG))
        (folder / WEIGHTS).rename(folder / "wan2.1_tiny_bf16.safetensors")
    assert same(load_wan(folder, CPU), expected)
    assert sizes.published(wan_config(folder)).parameters == sum(tensor.numel() for tensor in expected[0].values())


def test_weights_in_several_files_are_loaded(folder):
    expected, model = exact(folder), WanTransformer3DModel.from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    parts = sorted(folder.glob("*.safetensors"))
    assert len(parts) > 1
    assert same(load_wan(folder, CPU), expected)
    parts[0].unlink()
    with pytest.raises(InputError, match=f"partial weights: {parts[0].name} not there"):
        load_wan(folder, CPU)


@pytest.mark.parametrize("channels", [36, 48])
@pytest.mark.parametrize("config", ["diffusers", "original", "of text-to-video"])
def test_an_image_to_video_model_is_called_so(tmp_path, channels, config):
    WanTransformer3DModel(**TINY, in_channels=channels).save_pretrained(tmp_path)
    if config == "original":
        (tmp_path / "config.json").write_text(json.dumps(ORIGINAL_CONFIG | {"in_dim": channels, "model_type": "i2v"}))
    elif config != "diffusers":
        configure(tmp_path, in_channels=16)
    with pytest.raises(
        InputError, match=f"an image-to-video model of {channels} channels; expected text-to-video of 16"
    ):
        load_wan(tmp_path, CPU)


def test_other_models_are_called_what_they_are(folder):
    for values, message in (
        ({"in_channels": 48, "out_channels": 48}, "latents of 48 channels"),
        ({"in_channels": 16, "out_channels": 16, "image_dim": 1280}, "an image-to-video model"),
        ({"_class_name": "WanVACETransformer3DModel"}, "_class_name 'WanVACETransformer3DModel'; expected"),
    ):
        configure(folder, **values)
        with pytest.raises(InputError, match=message):
            load_wan(folder, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {n: v for n, v in t.items() if not n.startswith("blocks.1")},
            r"partial weights: 27 of 69 tensors \(blocks\.1",
        ),
        (
            lambda t: t | {"blocks.2.norm2.bias": torch.ones(32)},
            r"1 of 70 tensors \(blocks\.2\.norm2\.bias\) are none of",
        ),
        (lambda t: t | {"proj_out.bias": torch.ones(3)}, r"'proj_out\.bias' has shape \[3\]; expected \[64\]"),
        (lambda t: {"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(4, 32)}, "a LoRA"),
    ],
    ids=["partial", "more", "another size", "a LoRA"],
)
def test_weights_that_do_not_fit_are_one_error(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(InputError, match=message):
        load_wan(folder, CPU)


def test_files_among_which_none_is_named_are_an_error(folder):
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    (folder / "b.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="2 files of weights"):
        load_wan(folder, CPU)
    (folder / "a.safetensors").unlink()
    with pytest.raises(InputError, match="not readable safetensors"):
        load_wan(folder, CPU)
