"""Low-rank changes as files: what others load of ours, and we of theirs."""

import copy
import json

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import learned, load_tuned, save_tuned, tuned
from interdiff.video.backbone.wan import WanDenoiser

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 24,
    "freq_dim": 16,
    "ffn_dim": 48,
    "num_layers": 2,
    "rope_max_seq_len": 64,
}
B, C, T, H, W = 1, 16, 5, 4, 6
ALL = torch.arange(T).expand(B, -1)
LEVEL = torch.full((B, 1), 0.5)
RANK = 4
LORA = TuningSettings(kind="lora", rank=RANK)


@pytest.fixture(scope="module")
def stock():
    torch.manual_seed(0)
    return WanTransformer3DModel(**TINY).eval()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(B, C, T, H, W, generator=generator), torch.randn(B, 7, 24, generator=generator)


def denoiser(stock):
    return WanDenoiser(copy.deepcopy(stock), preconditioned=False)


@torch.no_grad()
def of_stock(model, inputs):
    z, embed = inputs
    return model(z, 1000 * LEVEL[:, 0], embed).sample


@torch.no_grad()
def of_ours(model, inputs):
    z, embed = inputs
    return model(z, LEVEL, embed, ALL)


def with_random_changes(stock):
    """A network that learns a LoRA, away from where it starts."""
    model = tuned(denoiser(stock), LORA)
    torch.manual_seed(1)
    for parameter in learned(model).values():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def checkpoint(stock, tmp_path_factory):
    """A folder of a trained LoRA."""
    folder = tmp_path_factory.mktemp("keyframes")
    files = {"model": folder / MODEL, "config": folder / CONFIG, "history": folder / "history.csv"}
    save_tuned(files, "keyframes", with_random_changes(stock), LORA, [])
    return folder


@pytest.mark.parametrize("way", ["adapter", "pipeline"])
def test_diffusers_loads_our_lora(stock, inputs, checkpoint, way):
    theirs = copy.deepcopy(stock)
    if way == "adapter":
        theirs.load_lora_adapter(checkpoint / MODEL)
    else:
        parts = dict.fromkeys(("tokenizer", "text_encoder", "vae", "scheduler"))
        WanPipeline(transformer=theirs, **parts).load_lora_weights(checkpoint, weight_name=MODEL)
    ours = of_ours(load_tuned(checkpoint, "keyframes", denoiser(stock)), inputs)
    torch.testing.assert_close(of_stock(theirs, inputs), ours, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(of_ours(with_random_changes(stock), inputs), ours, atol=1e-5, rtol=1e-5)
    assert (of_stock(stock, inputs) - ours).abs().mean() > 0.1 * ours.abs().mean()


def test_our_lora_has_diffusers_names_and_says_rank_and_alpha(checkpoint):
    """In one entry of metadata: safetensors writes several in an order that differs between processes."""
    with safe_open(checkpoint / MODEL, "pt") as file:
        names, (packed,) = set(file.keys()), file.metadata().values()
    assert {"transformer.blocks.0.attn1.to_q.lora_A.weight", "transformer.blocks.1.ffn.net.2.lora_B.weight"} < names
    assert json.loads(packed) == {
        "transformer.r": RANK,
        "transformer.lora_alpha": RANK,
        "transformer.target_modules": ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"],
    }


def test_older_checkpoints_are_still_read(stock, inputs, checkpoint, tmp_path):
    older = {name.replace(".weight", ".default.weight"): t for name, t in load_file(checkpoint / MODEL).items()}
    save_file(older, tmp_path / MODEL, {"format": "pt"})
    (tmp_path / CONFIG).write_bytes((checkpoint / CONFIG).read_bytes())
    one, other = (load_tuned(folder, "keyframes", denoiser(stock)) for folder in (tmp_path, checkpoint))
    assert torch.equal(of_ours(one, inputs), of_ours(other, inputs))


def test_a_checkpoint_that_lacks_a_layer_or_is_of_another_size_is_named(stock, checkpoint, tmp_path):
    tensors = load_file(checkpoint / MODEL)
    (tmp_path / CONFIG).write_bytes((checkpoint / CONFIG).read_bytes())
    save_file({name: tensor for name, tensor in tensors.items() if "0.attn1.to_q" not in name}, tmp_path / MODEL)
    with pytest.raises(InputError, match=r"'blocks\.0\.attn1\.to_q' has rank 0"):
        load_tuned(tmp_path, "keyframes", denoiser(stock))
    larger = WanDenoiser(WanTransformer3DModel(**TINY | {"ffn_dim": 64}), preconditioned=False)
    with pytest.raises(InputError, match=r"weight of \[48, 32\], the backbone's is \[64, 32\]"):
        load_tuned(checkpoint, "keyframes", larger)
