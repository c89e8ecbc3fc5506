"""Arithmetic is counted by formula: no kernel is forced, and networks need not run."""

from functools import partial

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from test_maze_networks import NETWORKS, condition_of, made, output
from test_video_two_phase import EMBED, NOISE, UNGUIDED, B, T, backbone, two_phase
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from interdiff.learning.costs import counted_flops, forward_flops
from interdiff.learning.parallel import compile_network
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.evaluation.sampling_costs import sampling_costs, sampling_flops
from interdiff.video.planner import samplers
from interdiff.video.planner.settings import SamplesStageSettings

__all__ = ["backbone"]
LEVEL, ALL = torch.full((B, 1), 0.5), torch.arange(T).expand(B, -1)


class Operations(TorchDispatchMode):
    """Names of what runs."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function._overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def by_products(run):
    """As it was counted before: products of queries, keys, scores and values, each by itself."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        run()
    return counter.get_total_flops()


def stock():
    size = {"num_attention_heads": 2, "attention_head_dim": 16, "text_dim": 12, "freq_dim": 16, "ffn_dim": 32}
    return WanDenoiser(WanTransformer3DModel(**size, num_layers=2, rope_max_seq_len=16), preconditioned=False).eval()


def test_attention_of_a_wan_counts_as_its_products(backbone):
    for network in (backbone, stock(), stock().bfloat16()):
        run = partial(network, NOISE, LEVEL, EMBED, ALL)
        expected = by_products(run)
        assert counted_flops(run) == expected
        assert forward_flops(network, NOISE, LEVEL, EMBED, ALL) == expected


@pytest.mark.parametrize("kind", NETWORKS)
def test_attention_of_mazes_counts_as_its_products(kind):
    network, condition = made(kind), condition_of()
    expected = by_products(lambda: output(kind, network, condition))
    assert counted_flops(lambda: output(kind, network, condition)) == expected > 0


def test_counting_forces_no_kernel(backbone):
    """Of 32,760 tokens the plain kernel's scores take 51.5 GB."""
    with Operations() as operations:
        counted_flops(lambda: backbone(NOISE, LEVEL, EMBED, ALL))
    assert "_scaled_dot_product_flash_attention_for_cpu" in operations.names
    assert not any("softmax" in name for name in operations.names)


def test_compiled_and_fused_networks_count_as_they_were():
    expected, network = forward_flops(stock(), NOISE, LEVEL, EMBED, ALL), stock()
    for module in network.modules():
        if isinstance(module, WanAttention):
            module.fuse_projections()
    compile_network(network, "blocks")
    assert forward_flops(network, NOISE, LEVEL, EMBED, ALL) == expected


def test_a_shape_is_counted_once():
    network, runs = stock(), []
    network.transformer.patch_embedding.register_forward_hook(lambda *_: runs.append(1))
    counts = [forward_flops(network, NOISE[:n], LEVEL[:n], EMBED[:n], ALL[:n]) for n in (1, 2, 1, 2)]
    assert counts[:2] == counts[2:]
    assert 2 * counts[0] == counts[1]
    assert len(runs) == 2


def test_sampling_is_counted_without_running_what_denoises(backbone):
    both, generator = two_phase(backbone, refiner_steps=1), torch.Generator().manual_seed(0)
    devices = []
    hook = backbone.transformer.patch_embedding.register_forward_hook(
        lambda module, given, made: devices.append((given[0].device.type, len(given[0])))
    )

    def sample(noise, embed):
        return both.sample(noise, embed, generator)

    assert sampling_flops(sample, NOISE[:1], EMBED[:1]) == by_products(lambda: sample(NOISE[:1], EMBED[:1]))
    devices.clear()
    sampling_costs(sample, 1.0, backbone, NOISE, EMBED)
    hook.remove()
    assert {count for device, count in devices if device == "cpu"} == {B}
    assert WanDenoiser.forward(backbone, NOISE, LEVEL, EMBED, ALL).any()


def test_clips_of_different_cost_count_by_their_shares(backbone):
    noise = NOISE.clone()
    noise[1] = 100.0

    def sample(noise, embed):
        for _ in range(3 if noise.min() == 100 else 1):
            backbone(noise, LEVEL[:1], embed, ALL[:1])

    costs = sampling_costs(sample, 1.0, backbone, noise, EMBED, shares=[0.25, 0.75])
    assert costs["full_step_units"] == pytest.approx(0.25 * 1 + 0.75 * 3)


def test_the_step_that_costs_are_told_in_is_as_fast_as_the_sampler(backbone, monkeypatch, tmp_path):
    prepared = []
    monkeypatch.setattr(samplers, "for_sampling", lambda network, *_: prepared.append(network) or network)
    monkeypatch.setattr(samplers, "load_negative", lambda path, device, prompts: UNGUIDED.negative)
    monkeypatch.setattr(samplers, "load_tuned", lambda folder, name, backbone: name)
    monkeypatch.setattr(samplers, "load_interpolator", lambda folder, device: None)
    monkeypatch.setattr(samplers, "_chooser", lambda *_: lambda k: None)
    settings = {"seed": 0, "levels": [4], "max_gap_factor": 3.0, "trained_noise": 0.0}
    for method, expected in (("teacher", [backbone]), ("two_phase", ["keyframes", "refiner", backbone])):
        prepared.clear()
        sampling = {"method": method, "refiner_steps": 1}
        samplers.load_sampler(
            tmp_path.joinpath, None, None, backbone, SamplesStageSettings(sampling=sampling, **settings)
        )
        assert prepared == expected
