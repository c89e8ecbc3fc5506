"""Low-rank changes as files: what others load of ours, and we of theirs."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from interdiff.errors import InputError
from interdiff.files import file_sha256
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.lora import add_lora, read_lora
from interdiff.video.backbone.settings import BackboneSettings, TuningSettings
from interdiff.video.backbone.tuning import learned, load_tuned, save_tuned, tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

ROOT = Path(__file__).parents[2]
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


ORIGINAL = {"attn1": "self_attn", "attn2": "cross_attn", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
ORIGINAL |= {"ffn.net.0.proj": "ffn.0", "ffn.net.2": "ffn.2"}


def original(layer):
    """The name in original Wan of diffusers' layer."""
    for ours, theirs in ORIGINAL.items():
        layer = layer.replace(ours, theirs)
    return layer


def named(kind, layer, half):
    """A factor's name as each program writes it."""
    by_kohya = {"lora_A": "lora_down", "lora_B": "lora_up"}[half]
    return {
        "diffusers": f"transformer.{layer}.{half}.weight",
        "peft": f"base_model.model.{layer}.{half}.weight",
        "diffsynth": f"{original(layer)}.{half}.default.weight",
        "comfyui": f"diffusion_model.{original(layer)}.{half}.weight",
        "comfyui, kohya's halves": f"diffusion_model.{original(layer)}.{by_kohya}.weight",
        "kohya": f"lora_unet_{original(layer).replace('.', '_')}.{by_kohya}.weight",
    }[kind]


KINDS = ["diffusers", "peft", "diffsynth", "comfyui", "comfyui, kohya's halves", "kohya"]


def write(kind, checkpoint, folder, alpha):
    """The checkpoint's LoRA as a program writes it, with an alpha where it has a place for one; the file."""
    tensors = load_file(checkpoint / MODEL)
    halves = [name.removeprefix("transformer.").removesuffix(".weight").rsplit(".", 1) for name in tensors]
    renamed = {named(kind, layer, half): tensor for (layer, half), tensor in zip(halves, tensors.values(), strict=True)}
    path, metadata = folder / "other.safetensors", None
    if kind == "peft":
        path = folder / "adapter_model.safetensors"
        (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": alpha}))
    elif kind == "diffusers":
        packed = {"r": RANK, "lora_alpha": alpha, "target_modules": ["to_q"]}
        metadata = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in packed.items()})}
    elif kind == "kohya" or "halves" in kind:
        renamed |= {
            f"{name.rsplit('.', 2)[0]}.alpha": torch.tensor(float(alpha)) for name in renamed if "lora_down" in name
        }
    save_file(renamed, path, metadata)
    return path


def wan_folder(stock, folder):
    stock.save_pretrained(folder)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_loras_of_others_are_read_with_their_alphas(stock, inputs, checkpoint, tmp_path, kind):
    alpha = RANK if kind in ("diffsynth", "comfyui") else 1  # which say nothing of it
    path = write(kind, checkpoint, tmp_path, alpha)
    ours = denoiser(stock)
    add_lora(ours.transformer, read_lora(path), path)
    exact = with_random_changes(stock)
    for module in exact.modules():
        if hasattr(module, "scaling"):
            module.scaling["default"] = alpha / RANK
    torch.testing.assert_close(of_ours(ours, inputs), of_ours(exact, inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["comfyui", "comfyui, kohya's halves", "kohya"])
def test_names_are_read_as_diffusers_reads_them(stock, inputs, checkpoint, tmp_path, kind):
    path = write(kind, checkpoint, tmp_path, 1)
    ours, theirs = denoiser(stock), copy.deepcopy(stock)
    add_lora(ours.transformer, read_lora(path), path)
    theirs.load_lora_adapter(WanPipeline.lora_state_dict(path))
    torch.testing.assert_close(of_ours(ours, inputs), of_stock(theirs, inputs), atol=1e-5, rtol=1e-5)


def test_changes_of_biases_and_whole_weights_are_added(stock, tmp_path):
    path, ours = tmp_path / "other.safetensors", denoiser(stock).transformer
    places = {"head.head": ours.proj_out, "time_projection.1": ours.condition_embedder.time_proj}
    places["blocks.1.norm3"] = ours.blocks[1].norm2  # original Wan counts them otherwise
    changes = {f"diffusion_model.{name}.diff_b": torch.ones_like(layer.bias) for name, layer in places.items()}
    changes |= {f"diffusion_model.{name}.diff": 2 * torch.ones_like(layer.weight) for name, layer in places.items()}
    before = {name: (layer.weight.clone(), layer.bias.clone()) for name, layer in places.items()}
    save_file(changes, path)
    add_lora(ours, read_lora(path), path)
    for name, layer in places.items():
        weight, bias = before[name]
        torch.testing.assert_close(layer.weight, weight + 2)
        torch.testing.assert_close(layer.bias, bias + 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["blocks.0.attn1.to_q.lora_A"], r"1 of 1 names \(blocks\.0\.attn1\.to_q\.lora_A\) are not those of a LoRA"),
        (["lora_te_text_model.alpha"], "of no layer of the backbone"),
        ([f"blocks.{n}.attn1.to_q.diff" for n in range(7, 11)], r"4 of 4 names \(.*, \.\.\.\) are of no layer"),
        (["blocks.0.attn1.to_q.dora_scale", "blocks.0.attn1.to_q.alpha"], r"1 of 2 names \(.*dora_scale\)"),
        (["blocks.0.attn1.to_q.lora_A.weight"], "half of a low-rank change"),
    ],
)
def test_names_that_fit_nothing_are_one_error(stock, tmp_path, names, message):
    path = tmp_path / "other.safetensors"
    save_file({name: torch.ones(RANK, 32) if "lora" in name else torch.ones(()) for name in names}, path)
    with pytest.raises(InputError, match=message):
        add_lora(denoiser(stock).transformer, read_lora(path), path)


def test_pefts_names_without_its_configuration_are_an_error(checkpoint, tmp_path):
    path = write("peft", checkpoint, tmp_path, 1)
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(InputError, match="adapter_config"):
        read_lora(path)


@pytest.mark.parametrize(("kind", "rank"), [("lora", RANK), ("lora", RANK + 2), ("full", RANK)])
def test_a_phase_starts_from_a_lora(stock, inputs, checkpoint, tmp_path, kind, rank):
    start = write("kohya", checkpoint, tmp_path, 1)
    ours = denoiser(stock)
    add_lora(ours.transformer, read_lora(start), start)
    model = tuned(denoiser(stock), TuningSettings(kind=kind, rank=rank, start=str(start)))
    torch.testing.assert_close(of_ours(model, inputs), of_ours(ours, inputs), atol=1e-5, rtol=1e-5)
    learning = learned(model)
    assert all(parameter.dtype == torch.float32 for parameter in learning.values())
    if rank > RANK:  # the others can learn, too
        assert all(tensor[RANK:].abs().sum() > 0 for name, tensor in learning.items() if "lora_A" in name)


def test_a_phase_says_which_lora_it_cannot_start_from(stock, checkpoint, tmp_path):
    start = write("kohya", checkpoint, tmp_path, 1)
    with pytest.raises(InputError, match=f"has rank {RANK}; expected at most rank=2"):
        tuned(denoiser(stock), TuningSettings(kind="lora", rank=2, start=str(start)))
    save_file({"diffusion_model.head.head.diff_b": torch.ones(64)}, start)
    with pytest.raises(InputError, match="what does not learn here"):
        tuned(denoiser(stock), TuningSettings(kind="lora", rank=2, start=str(start)))


def test_a_backbone_has_the_lora_that_is_named(stock, inputs, checkpoint, tmp_path):
    files = wan_folder(stock, tmp_path / "wan")
    plain, changed = (load_backbone([*files, *lora], torch.device("cpu")) for lora in ([], [checkpoint / MODEL]))
    expected = denoiser(stock)
    add_lora(expected.transformer, read_lora(checkpoint / MODEL), checkpoint / MODEL)
    exact = of_ours(expected, inputs)
    assert (of_ours(changed, inputs) - exact).abs().mean() < 0.05 * exact.abs().mean()  # in bf16
    assert (of_ours(plain, inputs) - exact).abs().mean() > 0.1 * exact.abs().mean()


@pytest.mark.parametrize(("pretrained", "lora"), [(None, "a.safetensors"), ("wan", "wan/a.safetensors")])
def test_a_lora_is_of_a_backbone_that_is_loaded(pretrained, lora):
    with pytest.raises(ValueError, match="lora: expected"):
        BackboneSettings(pretrained=pretrained, lora=lora)


def test_files_of_loras_are_part_of_what_results_depend_on(checkpoint, tmp_path):
    lora, start = tmp_path / "lora.safetensors", checkpoint / MODEL
    phase = {"tuning": {"kind": "lora", "start": str(start)}, "training": {"muon_learning_rate": None}}
    backbone = {"pretrained": str(tmp_path / "wan"), "lora": str(lora)}
    config = load_config({"video": {"base": {"backbone": backbone, "keyframes": phase}}})
    pipeline, base = VideoPipeline(config.video, "results", ROOT), SimpleNamespace(variant="base")
    assert pipeline.backbone_of("base") == [f"{tmp_path}/wan/config.json", str(lora)]
    assert pipeline.sources("keyframes", base) == [str(start)]
    assert not pipeline.sources("refiner", base)
    assert file_sha256(start) in pipeline.spec("keyframes")(base)
