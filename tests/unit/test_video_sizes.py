"""Estimates in closed form: against what is counted on shapes, and against what was measured on an H100."""

import pytest
import torch
import transformers
from diffusers import WanTransformer3DModel

from interdiff.learning.costs import counted_flops
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.settings import TransformerSettings, TuningSettings
from interdiff.video.backbone.sizes import BF16, FP32, of_settings, published, trained_here
from interdiff.video.backbone.tuning import learned, tuned
from interdiff.video.backbone.wan import WAN_1_3B
from interdiff.video.data.settings import ClipsSettings, DataSettings
from interdiff.video.data.sizes import UMT5_XXL, Clip, clip_of, encoder_bytes
from interdiff.video.interpolators.losses import Moments, MomentsBatch, interpolator_loss, straightener_loss
from interdiff.video.interpolators.methods.flow import build
from interdiff.video.interpolators.settings import FlowSettings, LossSettings, ShiftSettings
from interdiff.video.interpolators.sizes import flow_bytes, straightener_bytes
from interdiff.video.interpolators.straightener import Straightener
from interdiff.workflow.pipelines.needs import Need, granted_gpus

GIB = 2**30
WAN = of_settings(
    TransformerSettings(num_layers=30, num_attention_heads=12, attention_head_dim=128, ffn_dim=8960),
    Clip(16, 21, 60, 104, 512, 4096, 480 * 832),
    pretrained=True,
)
CLIP = Clip(16, 21, 60, 104, 512, 4096, 480 * 832)
LORA, FULL = (TuningSettings(kind=kind, gradient_checkpointing=True) for kind in ("lora", "full"))


def on_meta(**config):
    with torch.device("meta"):
        return WanTransformer3DModel(**config)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_wans_size_is_that_of_its_network():
    network = on_meta(**WAN_1_3B)
    assert published(network.config) == WAN
    assert WAN.parameters == parameters(network) == 1_418_996_800


@pytest.mark.parametrize("coordinates", [False, True])
def test_the_size_of_a_backbone_that_is_trained_here_is_that_of_its_network(coordinates):
    settings = TransformerSettings(coordinates=coordinates)
    clip = Clip(16, 21, 8, 8, 64, 384, 32 * 32)
    config = transformer_config(settings, clip.text_dim)
    network = build_backbone(**config)
    size = of_settings(settings, clip, pretrained=False)
    assert trained_here(config) == size
    assert size.parameters == parameters(network)
    assert size.weight == next(network.parameters()).element_size()
    low_rank = TuningSettings(kind="lora", rank=3)
    count = sum(tensor.numel() for tensor in learned(tuned(network, low_rank)).values())
    assert size.learned(low_rank) == count


@pytest.mark.parametrize(("frames", "coordinates"), [(2, False), (5, False), (5, True)])
def test_arithmetic_is_what_is_counted(frames, coordinates):
    settings = TransformerSettings(
        num_layers=2, num_attention_heads=2, attention_head_dim=16, ffn_dim=48, coordinates=coordinates
    )
    clip = Clip(16, 5, 6, 4, 7, 24, 24 * 16)
    network = build_backbone(**transformer_config(settings, clip.text_dim))
    inputs = torch.zeros(1, 16, frames, 6, 4), torch.zeros(1, 1), torch.zeros(1, 7, 24), torch.arange(frames)[None]
    assert of_settings(settings, clip, pretrained=False).flops(clip, frames) == counted_flops(lambda: network(*inputs))


@pytest.mark.parametrize(("frames", "teraflops"), [(21, 283.0), (8, 61.3), (6, 40.6), (4, 23.5)])
def test_wans_arithmetic_is_the_known_one(frames, teraflops):
    assert WAN.flops(CLIP, frames) / 1e12 == pytest.approx(teraflops, abs=0.06)


@pytest.mark.parametrize(
    ("tuning", "frames", "clips", "gib"),
    [
        (LORA, 21, 1, 14.0),
        (LORA, 21, 2, 22.6),
        (LORA, 4, 2, 8.7),
        (TuningSettings(kind="lora"), 4, 1, 24.2),
        (FULL, 21, 1, 18.3),
        (FULL, 4, 2, 15.2),
    ],
)
def test_activations_are_what_was_measured(tuning, frames, clips, gib):
    """Beside weights and their average in bf16; or weights and gradients in fp32, and what autocast casts to bf16."""
    held = {"lora": 2 * BF16, "full": 2 * FP32 + BF16}[tuning.kind] * WAN.parameters
    estimate = (held + WAN.activations(clips * WAN.tokens(CLIP, frames), tuning)) / GIB
    assert estimate == pytest.approx(gib, rel=0.04)


@pytest.mark.parametrize(
    ("frames", "compiled", "ms"),
    [(4, False, 83), (6, False, 123), (8, False, 169), (21, False, 648), (4, True, 52), (21, True, 522)],
)
def test_passes_take_as_long_as_was_measured(frames, compiled, ms):
    assert 1000 * WAN.seconds(CLIP, frames, compiled, gpu=True) == pytest.approx(ms, rel=0.1)


@pytest.mark.parametrize(("frames", "clips", "ms"), [(21, 1, 3161), (21, 2, 6223), (21, 1, 3063), (4, 2, 797)])
def test_steps_take_as_long_as_was_measured(frames, clips, ms):
    estimate = clips * WAN.step_seconds(CLIP, frames, checkpointing=True, compiled=False, gpu=True)
    assert 1000 * estimate == pytest.approx(ms, rel=0.1)


def test_several_processes_hold_a_share_of_the_weights_each():
    tokens = WAN.tokens(CLIP, 21)
    one, four = WAN.training(tokens, FULL), WAN.training(tokens, FULL, 4)
    assert four < one
    assert one - WAN.activations(tokens, FULL) == 22 * WAN.parameters
    assert four >= WAN.held() + FP32 * WAN.parameters  # as it is loaded


def test_the_state_of_a_lora_run_is_small():
    assert WAN.state(LORA) == 16 * WAN.lora(8) < 200e6


def test_the_text_encoder_is_umt5_xxl():
    with torch.device("meta"):
        network = transformers.UMT5EncoderModel(transformers.UMT5Config(**UMT5_XXL))
    assert encoder_bytes(UMT5_XXL) == BF16 * parameters(network)


@pytest.mark.parametrize(
    ("data", "latents", "embedding"),
    [
        (DataSettings(), (16, 21, 8, 8), (64, 384)),
        (DataSettings(clips=ClipsSettings(side=16, frames=29)), (16, 8, 4, 4), (64, 384)),
    ],
)
def test_clips_have_the_shapes_of_shards(data, latents, embedding):
    clip = clip_of(data, {"d_model": 384})
    assert (clip.channels, clip.frames, clip.height, clip.width) == latents
    assert (clip.rows, clip.text_dim) == embedding


def test_wans_clips_take_what_a_member_of_a_shard_takes():
    assert CLIP.stored == 8_387_584


def kept(run):
    """Bytes of the tensors that autograd keeps, but for parameters."""
    found = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(size for size, _ in found.values())


def moments(pairs, count, height, width):
    ends = torch.rand(2, pairs, 16, height, width)
    gap = torch.full((pairs,), 5.0)
    return Moments(*ends, 0.1 + 0.8 * torch.rand(pairs, count), gap, torch.rand(pairs, count, 16, height, width))


@pytest.mark.parametrize(
    "change", [{}, {"width": 96}, {"pair_blocks": 2, "time_blocks": 1}, {"cost_radius": 0, "scale": 2}]
)
def test_the_flow_interpolator_keeps_what_is_estimated(change):
    flow = FlowSettings(**{"cost_radius": 5} | change)
    batch = MomentsBatch(moments(2, 4, 16, 20), None, LossSettings(), 21)
    found = kept(lambda: interpolator_loss(build(16, **flow.model_dump()), batch)["loss"])
    volume = 32 * (2 * flow.cost_radius + 1) ** 2 if flow.cost_radius else 0
    assert 2 * (flow_bytes(flow, 16 * 20, 4) - FP32 * 16 * 20 * volume) == pytest.approx(found, rel=0.02)


@pytest.mark.parametrize("change", [{}, {"width": 64}, {"blocks": 2}])
def test_the_straightener_keeps_what_is_estimated(change):
    shift = ShiftSettings(**{"width": 32, "blocks": 1} | change)
    model = Straightener(16, 4, **shift.model_dump(include={"form", "width", "blocks"}))
    found = kept(lambda: straightener_loss(model, moments(2, 4, 16, 20), 0.1)["loss"])
    assert 2 * straightener_bytes(shift, 4, 16 * 20, 4) == pytest.approx(found, rel=0.05)


def test_memory_and_limits_grow_with_each_attempt():
    need = Need(host=1e9, gpu=2e9, seconds=600)
    on_gpu = {"mem_mb": 5000, "gpu_mb": 3000, "runtime": 80, "minutes": 10}
    assert need.resources(gpus=1) == on_gpu
    assert need.resources(gpus=1, attempt=2) == on_gpu | {"mem_mb": 10000, "runtime": 160}
    assert need.resources(gpus=2)["mem_mb"] == 10000
    assert need.resources(gpus=0) == {"mem_mb": 7000, "runtime": 80, "minutes": 10}


@pytest.mark.parametrize(
    ("gpu", "gres", "count"),
    [(0, None, 0), (2, None, 2), (0, "gpu:1", 1), (0, "gpu:a100:4", 4), (0, "gpu", 1), (0, "gpu:1g.5gb:2,lustre:1", 2),
     (0, "lustre:1", 0)],
)  # fmt: skip
def test_gpus_are_counted_where_a_cluster_names_them_as_gres(gpu, gres, count):
    assert granted_gpus(gpu, gres) == count
