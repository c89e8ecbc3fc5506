import copy

import pytest
import torch
from diffusers import WanTransformer3DModel

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.learning.costs import counted_flops
from interdiff.video.backbone.backbone import build_backbone, whiten_text
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import learned, load_tuned, save_tuned, tuned
from interdiff.video.backbone.wan import COORDINATES, WAN_1_3B, WanDenoiser, coordinates
from interdiff.video.backbone.wan_folder import load_wan

TINY = {
    "num_attention_heads": 4,
    "attention_head_dim": 16,
    "text_dim": 64,
    "freq_dim": 64,
    "ffn_dim": 128,
    "num_layers": 2,
    "rope_max_seq_len": 64,
}
B, C, T, H, W = 2, 16, 21, 4, 6
ALL = torch.arange(T).expand(B, -1)


@pytest.fixture(scope="module")
def stock():
    torch.manual_seed(0)
    return WanTransformer3DModel(**TINY).eval()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(B, C, T, H, W, generator=generator), torch.randn(B, 10, 64, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("columns", [1, T])
def test_equal_levels_and_all_frames_give_the_stock_models_output(stock, inputs, columns):
    z, embed = inputs
    level = torch.tensor([0.3, 0.8])
    ours = WanDenoiser(copy.deepcopy(stock), preconditioned=False)(z, level[:, None].expand(-1, columns), embed, ALL)
    torch.testing.assert_close(ours, stock(z, 1000 * level, embed).sample, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_levels_by_frame_are_those_that_wan_takes_by_token(stock, inputs):
    z, embed = inputs
    level = torch.linspace(0, 1, T).repeat(B, 1)
    tokens = (1000 * level).repeat_interleave(H * W // 4, 1)
    ours = WanDenoiser(copy.deepcopy(stock), preconditioned=False)(z, level, embed, ALL)
    torch.testing.assert_close(ours, stock(z, tokens, embed).sample, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_frames_keep_their_places(stock, inputs):
    """A frame's place matters, not its position in the batch: reversed frames give the reversed output."""
    z, embed = inputs
    model, level = WanDenoiser(copy.deepcopy(stock), preconditioned=False), torch.tensor([[0.5], [0.5]])
    places = torch.tensor([[0, 3, 12, 20], [0, 6, 13, 20]])
    some = torch.stack([clip[:, at] for clip, at in zip(z, places, strict=True)])
    output = model(some, level, embed, places)
    torch.testing.assert_close(model(some.flip(2), level, embed, places.flip(1)), output.flip(2), atol=1e-5, rtol=1e-5)
    assert (model(some, level, embed, ALL[:, :4]) - output).abs().max() > 1e-3


def test_cost_falls_with_the_number_of_frames(stock, inputs):
    z, embed = inputs
    model, level = WanDenoiser(copy.deepcopy(stock), preconditioned=False), torch.full((B, 1), 0.5)
    full = counted_flops(lambda: model(z, level, embed, ALL))
    few = counted_flops(lambda: model(z[:, :, :4], level, embed, ALL[:, :4]))
    assert few < 0.25 * full


@torch.no_grad()
def test_preconditioning_answers_with_the_best_guess_without_data(stock, inputs):
    """For data and noise of unit variance, E[noise - data | z] = (2 sigma - 1) / (sigma^2 + (1 - sigma)^2) z."""
    z, embed = inputs
    silent = WanTransformer3DModel(**TINY)
    torch.nn.init.zeros_(silent.proj_out.weight)
    torch.nn.init.zeros_(silent.proj_out.bias)
    output = WanDenoiser(silent, preconditioned=True)(z, torch.tensor([[0.25], [1.0]]), embed, ALL)
    torch.testing.assert_close(output[0], -0.5 / 0.625 * z[0])
    torch.testing.assert_close(output[1], z[1])


def test_gradient_checkpointing_changes_no_gradient(stock, inputs):
    z, embed = inputs
    gradients = []
    for checkpointed in (False, True):
        model = tuned(
            WanDenoiser(copy.deepcopy(stock), preconditioned=False),
            TuningSettings(kind="lora", rank=2, gradient_checkpointing=checkpointed),
        )
        assert model.transformer.gradient_checkpointing == checkpointed
        torch.manual_seed(0)
        for parameter in learned(model).values():
            torch.nn.init.normal_(parameter, std=0.1)
        model(z, torch.full((B, 1), 0.5), embed, ALL).square().mean().backward()
        gradients.append([parameter.grad for parameter in learned(model).values()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_lora_begins_as_the_backbone_and_learns_alone(stock, inputs):
    z, embed = inputs
    backbone = WanDenoiser(copy.deepcopy(stock), preconditioned=False)
    model = tuned(backbone, TuningSettings(kind="lora", rank=2))
    level = torch.full((B, 1), 0.5)
    with torch.no_grad():
        torch.testing.assert_close(model(z, level, embed, ALL), backbone(z, level, embed, ALL))
    assert all("lora" in name for name in learned(model))
    assert not any("lora" in name for name, _ in backbone.named_parameters())


def test_wan_1_3b_has_the_published_size_and_names():
    with torch.device("meta"):
        model = WanTransformer3DModel(**WAN_1_3B)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_418_996_800
    names = set(model.state_dict())
    block = {
        "scale_shift_table", "norm2.weight", "norm2.bias", "ffn.net.0.proj.weight", "ffn.net.0.proj.bias",
        "ffn.net.2.weight", "ffn.net.2.bias",
        *(f"attn{n}.{part}" for n in (1, 2) for part in ("norm_q.weight", "norm_k.weight")),
        *(
            f"attn{n}.{part}.{kind}"
            for n in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0") for kind in ("weight", "bias")
        ),
    }  # fmt: skip
    assert {name.removeprefix("blocks.29.") for name in names if name.startswith("blocks.29.")} == block
    outside = {
        "patch_embedding", "condition_embedder.time_embedder.linear_1", "condition_embedder.time_embedder.linear_2",
        "condition_embedder.time_proj", "condition_embedder.text_embedder.linear_1",
        "condition_embedder.text_embedder.linear_2", "proj_out",
    }  # fmt: skip
    expected = {f"{layer}.{kind}" for layer in outside for kind in ("weight", "bias")} | {"scale_shift_table"}
    assert {name for name in names if not name.startswith("blocks.")} == expected


@pytest.mark.parametrize(("rank", "millions"), [(8, 10.94), (32, 43.74)])
def test_lora_on_wan_1_3b_has_the_known_size(rank, millions):
    with torch.device("meta"):
        model = tuned(
            WanDenoiser(WanTransformer3DModel(**WAN_1_3B), preconditioned=False),
            TuningSettings(kind="lora", rank=rank),
        )
    tensors = learned(model)
    assert len(tensors) == 2 * 30 * (2 * 4 + 2)
    assert sum(parameter.numel() for parameter in tensors.values()) / 1e6 == pytest.approx(millions, abs=0.01)


@torch.no_grad()
def test_what_lora_learns_of_a_backbone_in_bf16_is_in_fp32(stock, inputs, tmp_path):
    z, embed = inputs
    stock.save_pretrained(tmp_path)
    backbone = load_wan(tmp_path, torch.device("cpu"))
    model = tuned(backbone, TuningSettings(kind="lora", rank=2))
    assert {parameter.dtype for parameter in learned(model).values()} == {torch.float32}
    level = torch.full((B, 1), 0.5)
    torch.testing.assert_close(model(z, level, embed, ALL), backbone(z, level, embed, ALL))


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_what_is_made_of_a_backbone_in_bf16_samples_as_it_does(stock, inputs, tmp_path, kind):
    z, embed = inputs
    stock.save_pretrained(tmp_path / "wan")
    backbone = load_wan(tmp_path / "wan", torch.device("cpu"))
    settings = TuningSettings(kind=kind, rank=2)
    model = tuned(backbone, settings)
    files = {"model": tmp_path / MODEL, "config": tmp_path / CONFIG, "history": tmp_path / "history.csv"}
    save_tuned(files, "keyframes", model, settings, [])
    loaded = load_tuned(tmp_path, "keyframes", backbone)
    types = {name: parameter.dtype for name, parameter in loaded.named_parameters() if "lora_" not in name}
    assert list(types.values()) == [parameter.dtype for parameter in backbone.parameters()]
    level = torch.full((B, 1), 0.5)
    assert torch.equal(loaded(z, level, embed, ALL), backbone(z, level, embed, ALL))


@torch.no_grad()
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_low_rank_changes_are_part_of_the_weights_that_sample(stock, inputs, tmp_path, monkeypatch, precision):
    z, embed = inputs
    settings, level = TuningSettings(kind="lora", rank=2), torch.full((B, 1), 0.5)
    backbone = WanDenoiser(copy.deepcopy(stock), preconditioned=False).to(precision)
    model = tuned(backbone, settings)
    torch.manual_seed(0)
    for parameter in learned(model).values():
        torch.nn.init.normal_(parameter, std=0.4)
    files = {"model": tmp_path / MODEL, "config": tmp_path / CONFIG, "history": tmp_path / "history.csv"}
    save_tuned(files, "keyframes", model, settings, [])
    loaded = load_tuned(tmp_path, "keyframes", backbone)
    assert {name: p.dtype for name, p in loaded.named_parameters()} == {
        name: p.dtype for name, p in backbone.named_parameters()
    }
    assert not [module for module in loaded.modules() if "peft" in type(module).__module__]
    expected, rounding = model(z, level, embed, ALL), {torch.float32: 1e-5, torch.bfloat16: 0.02}[precision]
    assert (backbone(z, level, embed, ALL) - expected).abs().mean() > 0.1 * expected.abs().mean()
    monkeypatch.setattr(torch.nn.Parameter, "is_cuda", True, raising=False)
    for network in (loaded, for_sampling(loaded, "no")):
        off = (network(z, level, embed, ALL) - expected).abs().mean()
        assert off < rounding * expected.abs().mean()


@torch.no_grad()
def test_a_diffusers_checkout_loads_in_bf16_with_what_wan_keeps_in_fp32(stock, inputs, tmp_path):
    z, embed = inputs
    stock.save_pretrained(tmp_path)
    model = load_wan(tmp_path, torch.device("cpu"))
    types = {name: parameter.dtype for name, parameter in model.transformer.named_parameters()}
    assert types["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert types["blocks.0.scale_shift_table"] == torch.float32
    assert types["condition_embedder.time_embedder.linear_1.weight"] == torch.float32
    level = torch.full((B, 1), 0.5)
    exact = WanDenoiser(copy.deepcopy(stock), preconditioned=False)(z, level, embed, ALL)
    assert (model(z, level, embed, ALL) - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_what_is_no_wan_is_named(tmp_path):
    with pytest.raises(InputError, match="not a Wan transformer"):
        load_wan(tmp_path, torch.device("cpu"))
    with pytest.raises(InputError, match="patch_size"):
        WanDenoiser(WanTransformer3DModel(**TINY, patch_size=(2, 2, 2)), preconditioned=False)


@torch.no_grad()
def test_queries_keys_and_values_are_one_product_for_sampling_on_a_gpu(stock, inputs, monkeypatch):
    z, embed = inputs
    level = torch.full((B, 1), 0.5)
    model = WanDenoiser(copy.deepcopy(stock), preconditioned=False)
    exact, products = model(z, level, embed, ALL), []
    assert torch.equal(for_sampling(model, "no")(z, level, embed, ALL), exact)
    monkeypatch.setattr(torch.nn.Parameter, "is_cuda", True, raising=False)
    fused = for_sampling(model, "no")
    for module in fused.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, given, made: products.append(made.shape[-1]))
    torch.testing.assert_close(fused(z, level, embed, ALL), exact, atol=1e-5, rtol=1e-5)
    assert products.count(3 * 64) == len(stock.blocks)


@torch.no_grad()
def test_rotary_positions_do_not_say_when_and_coordinates_do(stock, inputs):
    z, embed = inputs
    seeing = WanTransformer3DModel(**TINY, in_channels=16 + COORDINATES)
    outputs = {}
    for transformer in (copy.deepcopy(stock), seeing):
        model = WanDenoiser(transformer.eval(), preconditioned=False)
        one, other = (
            model(z[:, :, :5], torch.full((B, 1), 0.5), embed, frames) for frames in (ALL[:, :5], ALL[:, 5:10])
        )
        outputs[transformer.config.in_channels] = one - other
    assert outputs[16].abs().max() < 1e-4
    assert outputs[16 + COORDINATES].abs().max() > 1e-2


def test_coordinates_are_shares_of_clip_and_picture():
    channels = coordinates(torch.tensor([[0, 4, 8], [0, 10, 20]]), 4, 6)
    assert channels.shape == (2, COORDINATES, 3, 4, 6)
    torch.testing.assert_close(channels[0], channels[1])
    even = coordinates(torch.arange(1000)[None], 100, 100)[0]
    torch.testing.assert_close(even.mean((1, 2, 3)), torch.zeros(9), atol=1e-2, rtol=0)
    torch.testing.assert_close(even.square().mean((1, 2, 3)), torch.ones(9), atol=1e-2, rtol=0)


@torch.no_grad()
def test_text_begins_with_what_tells_prompts_apart():
    torch.manual_seed(0)
    colour, direction, rest = torch.randn(500, 3), torch.randn(500, 1), torch.randn(500, 28)
    embed = 4 + torch.cat([3 * colour, 0.3 * direction, 0.01 * rest], 1) @ torch.linalg.qr(torch.randn(32, 32))[0]
    sizes = {"num_layers": 1, "num_attention_heads": 4, "attention_head_dim": 16, "ffn_dim": 64}
    model = build_backbone(16, [1, 2, 2], text_dim=32, **sizes)
    project = model.transformer.condition_embedder.text_embedder.linear_1

    def share(hidden):
        told = torch.linalg.lstsq(direction, hidden - hidden.mean(0)).solution
        return ((direction @ told).var() / hidden.var(0).mean()).item()

    assert share(project(embed)) < 0.02
    with pytest.raises(InputError, match=r"text_components: 33; expected at most \d+, in which"):
        whiten_text(model, embed, 33)
    whiten_text(model, embed, 4)
    for plain in (torch.zeros(1, 32), embed.mean(0, keepdim=True)):
        torch.testing.assert_close(project(plain), torch.zeros(1, 64), atol=1e-3, rtol=0)
    assert 0.8 < project(embed).var(0).mean() < 1.2
    assert 0.2 < share(project(embed)) < 0.3
