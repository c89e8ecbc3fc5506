"""Networks with sparse attention: checkpoints, any frames, what is made of them, and costs."""

import copy

import pytest
import torch
from diffusers import WanTransformer3DModel
from test_sparse_attention import BLOCK, KINDS, oracle
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from interdiff.errors import InputError
from interdiff.files import read_json, write_json
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.learning.costs import forward_flops
from interdiff.settings import validated
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import SparseLinear, attention_of, set_attention
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.settings import TransformerSettings, TuningSettings
from interdiff.video.backbone.tuning import attention_weights, learned, load_tuned, save_tuned, tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.planner.preview import build_preview
from interdiff.video.planner.samplers import check_sparse
from interdiff.video.planner.settings import SamplingSettings


@pytest.mark.parametrize(
    ("asked", "expected"), [({"sage": True}, "sage: expected false"), ({"reuse": 2}, "reuse: expected 1")]
)
def test_what_sparse_attention_has_is_asked_for_where_there_is_none(asked, expected):
    network = build_backbone(channels=16, patch_size=[1, 2, 2], **SIZE)
    with pytest.raises(InputError, match=rf"sampling\.{expected} for a method without sparse attention"):
        check_sparse(SamplingSettings(**asked), [network])
    set_attention(network.transformer, AttentionSettings(kind="sla"))
    check_sparse(SamplingSettings(**asked), [network])


SIZE = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 32, "num_layers": 2, "text_dim": 24}
FRAMES = 5


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    model = build_backbone(channels=16, patch_size=[1, 2, 2], **SIZE)
    # It would answer the same whatever attention says.
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.1)
    return model.eval()


def inputs(frames=FRAMES):
    generator = torch.Generator().manual_seed(3)
    z, embed = torch.randn(2, 16, frames, 6, 8, generator=generator), torch.randn(2, 4, 24, generator=generator)
    return z, torch.full((2, 1), 0.6), embed, torch.arange(frames).expand(2, -1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["lora", "full"])
def test_a_network_with_sparse_attention_comes_back_from_its_checkpoint(backbone, tmp_path, kind, way):
    attention = {"kind": kind, "keep": 0.3, "block": BLOCK}
    settings = validated(TuningSettings, {"kind": way, "rank": 2, "attention": attention})
    torch.manual_seed(1)
    model = tuned(backbone, settings)
    names = {name for name in learned(model) if ".processor." in name}
    assert len(names) == 2 * (2 if kind != "sla2" else 4)
    with torch.no_grad():
        for tensor in learned(model).values():
            tensor += 0.05 * torch.randn(tensor.shape)
    expected = model.eval()(*inputs())
    assert not torch.allclose(expected, backbone(*inputs()), atol=1e-3)
    outputs = {
        name: tmp_path / file for name, file in (("model", MODEL), ("config", CONFIG), ("history", "history.csv"))
    }
    save_tuned(outputs, "refiner", model, settings, [])
    torch.testing.assert_close(load_tuned(tmp_path, "refiner", backbone)(*inputs()), expected, rtol=1e-4, atol=1e-5)
    config = read_json(tmp_path / CONFIG)
    config["model"].pop("attention")
    write_json(tmp_path / CONFIG, config)
    with pytest.raises(InputError, match=r"unexpected tensor .*processor|names .* are not those of a LoRA"):
        load_tuned(tmp_path, "refiner", backbone)


def test_a_backbone_may_be_trained_with_it(backbone):
    settings = validated(TransformerSettings, {"attention": {"kind": "sla", "block": BLOCK}})
    config = transformer_config(settings, 24)
    assert "attention" not in transformer_config(TransformerSettings(), 24)
    model = build_backbone(**config | {name: SIZE[name] for name in SIZE})
    assert model(*inputs()).isfinite().all()
    assert "transformer.blocks.1.attn1.processor.proj_l.weight" in model.state_dict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 4, 5])
def test_a_network_on_any_frames_is_that_of_dense_masks(backbone, monkeypatch, kind, frames):
    """Frames of 12 tokens in blocks of 8; forwards, backwards, and in forward mode as distillation takes it."""
    model = tuned(backbone, validated(TuningSettings, {"attention": {"kind": kind, "keep": 0.3, "block": BLOCK}}))
    with torch.no_grad():
        for tensor in attention_weights(model).values():
            tensor += 0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    z, level, embed, places = inputs(frames)

    def run(z, level):
        return model(z, level, embed, places)

    def all_ways():
        gradients = torch.autograd.grad(run(z, level).square().mean(), list(learned(model).values()), allow_unused=True)
        with sdpa_kernel(SDPBackend.MATH):  # attention to prompts, whose other kernels have no forward mode
            forward_mode = jvp(run, (z, level), (z, level))
        return [*forward_mode, *(x for x in gradients if x is not None)]

    ours = all_ways()
    monkeypatch.setattr(SparseLinear, "attend", oracle)
    for found, expected in zip(ours, all_ways(), strict=True):
        assert found.isfinite().all()
        assert (found - expected).norm() <= 2e-5 * expected.norm().clamp_min(1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_of_a_sparse_network_goes_on_with_it(backbone, tmp_path, kind):
    """Where what is tuned is dense or alike; a checkpoint of all weights says what it has."""
    settings = validated(TuningSettings, {"attention": {"kind": kind, "keep": 0.3, "block": BLOCK}})
    model = tuned(backbone, settings).eval()
    with torch.no_grad():
        for tensor in attention_weights(model).values():
            tensor += 0.3
    expected = model(*inputs())
    assert torch.equal(tuned(model, settings).eval()(*inputs()), expected)
    again = tuned(model, TuningSettings()).eval()
    assert torch.equal(again(*inputs()), expected)
    outputs = {
        name: tmp_path / file for name, file in (("model", MODEL), ("config", CONFIG), ("history", "history.csv"))
    }
    save_tuned(outputs, "refiner", again, TuningSettings(), [])
    torch.testing.assert_close(load_tuned(tmp_path, "refiner", backbone)(*inputs()), expected)


def test_the_preview_of_a_sparse_backbone_is_sparse(backbone):
    model = tuned(backbone, validated(TuningSettings, {"attention": {"kind": "sla", "block": BLOCK}})).eval()
    with torch.no_grad():
        model.transformer.blocks[0].attn1.processor.proj_l.weight += 0.3
    preview = build_preview(model, 1, 16, 0.9)
    assert attention_of(preview.denoiser.transformer) == attention_of(model.transformer)
    assert preview.denoiser.transformer.blocks[0].attn1.processor.proj_l.weight.any()
    z, _, embed, _ = inputs()
    assert preview(z, embed).isfinite().all()


@pytest.mark.parametrize(("keep", "most"), [(0.1, 0.40), (0.15, 0.45)])
def test_a_pass_over_a_real_clip_costs_less_than_half(keep, most):
    """What is computed is counted, at 21 x 60 x 104 latents: the aim for phase 2 is 0.4 of a dense pass."""
    with torch.device("meta"):
        size = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 1}
        dense = WanDenoiser(WanTransformer3DModel(**size), preconditioned=False)
        z, embed = torch.empty(1, 16, 21, 60, 104), torch.empty(1, 512, 4096)
        arguments = z, torch.empty(1, 1), embed, torch.empty(1, 21, dtype=torch.int64)
    whole = forward_flops(dense, *arguments)
    set_attention(dense.transformer, AttentionSettings(kind="sla", keep=keep))
    share = forward_flops(copy.deepcopy(dense), *arguments) / whole
    assert keep < share < most
