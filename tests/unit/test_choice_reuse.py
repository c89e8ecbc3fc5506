"""A choice of blocks that serves several steps of sampling."""

import copy
from pathlib import Path

import pytest
import torch

from interdiff.learning.costs import forward_flops
from interdiff.video.attention.blocks import chosen_blocks
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import SparseLinear, reused_choices, set_attention
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.flow_matching import Guidance
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.backbone.settings import TransformerSettings
from interdiff.video.evaluation.sampling_costs import sampling_flops
from interdiff.video.planner.samplers import Parts, _teacher
from interdiff.video.planner.settings import SamplesStageSettings, SamplingSettings

BLOCK, HEADS, DIM, LAYERS, T, SIDE, WIDTH = 4, 2, 16, 2, 6, 4, 12
KINDS = ["sla", "sla_complement", "sla2"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


NOISE, EMBED = torch.randn(2, 16, T, SIDE, SIDE, generator=seeded(0)), torch.randn(2, 5, WIDTH, generator=seeded(1))


def tokens(seed, batch=2, length=40):
    return [torch.randn(batch, HEADS, length, DIM, generator=seeded(seed + n)) for n in range(3)]


def layer_of(kind):
    return SparseLinear(DIM, AttentionSettings(kind=kind, keep=0.3, block=BLOCK)).eval()


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    size = TransformerSettings(num_layers=LAYERS, num_attention_heads=HEADS, attention_head_dim=DIM, ffn_dim=32)
    model = build_backbone(**transformer_config(size, WIDTH))
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.1)
    set_attention(model.transformer, AttentionSettings(kind="sla", keep=0.3, block=BLOCK))
    return model.requires_grad_(False).eval()


def sampler(backbone, steps=4, guidance=1.0, **sampling):
    settings = SamplesStageSettings(
        sampling=SamplingSettings(method="teacher", steps=steps, **sampling),
        seed=0,
        max_gap_factor=3.0,
        levels=[4],
        trained_noise=0.5,
    )
    sample = _teacher(backbone, Parts(Path, None, backbone, Guidance(guidance, EMBED[0], 0.8), settings))
    return lambda noise, embed: sample(noise, embed, None).refined


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_passes_attend_to_the_blocks_of_the_first(kind):
    layer, passes = layer_of(kind), [tokens(10 * n) for n in range(4)]
    own = [layer.attend(*parts) for parts in passes]
    with reused_choices([layer, None], 2):
        kept = [layer.attend(*parts) for parts in passes]
    for n in (0, 2):
        assert torch.equal(kept[n], own[n])
        first = layer.choice(*passes[n][:2])
        layer.choice = lambda query, key, first=first: first
        assert torch.equal(kept[n + 1], layer.attend(*passes[n + 1]))
        del layer.choice
        assert not torch.equal(kept[n + 1], own[n + 1])


def test_another_sampling_another_shape_and_training_choose_anew():
    layer, first, second = layer_of("sla"), tokens(0), tokens(10)
    own = layer.attend(*second)
    for _ in range(2):
        with reused_choices([layer], 4):
            assert torch.equal(layer.attend(*second), own)
            for changed in (tokens(20, batch=1), tokens(20, length=36)):
                expected = chosen_blocks(layer._scores(*changed[:2]), 0.3)
                layer.attend(*changed)
                assert torch.equal(layer.kept.index(changed[0], pytest.fail), expected)
            assert torch.equal(layer.attend(*second), own)
            layer.train()
            assert torch.equal(layer.attend(*second), own)
            layer.attend(*first)
            assert torch.equal(layer.attend(*second), own)
            layer.eval()
        assert layer.kept is None


@torch.no_grad()
def test_steps_of_sampling_share_a_choice_and_one_step_is_as_before(backbone):
    chosen, layer = [], backbone.transformer.blocks[0].attn1.processor
    choose = layer.choice
    layer.choice = lambda query, key: chosen.append(len(query)) or choose(query, key)
    plain = sampler(backbone)(NOISE, EMBED)
    assert chosen == [2] * 4
    assert torch.equal(sampler(backbone, reuse=1)(NOISE, EMBED), plain)
    chosen.clear()
    twice = sampler(backbone, reuse=2)
    assert not torch.equal(twice(NOISE, EMBED), plain)
    assert chosen == [2] * 2
    assert torch.equal(twice(NOISE, EMBED), twice(NOISE, EMBED))
    chosen.clear()
    # Guided below level 0.8: either pass is a row of its own in the batch, and has its own choice.
    sampler(backbone, guidance=3.0, reuse=4)(NOISE, EMBED)
    assert chosen == [2, 4]


@torch.no_grad()
def test_its_arithmetic_is_counted(backbone):
    blocks = T * SIDE * SIDE // 4 // BLOCK
    choice = 2 * HEADS * blocks**2 * DIM
    one = forward_flops(backbone, NOISE[:1], NOISE.new_zeros(1, 1), EMBED[:1], torch.arange(T)[None])
    for reuse, chosen in ((1, 4), (2, 2), (4, 1), (8, 1)):
        counted = sampling_flops(sampler(backbone, reuse=reuse), NOISE[:1], EMBED[:1], reuse=reuse)
        assert counted == 4 * one - LAYERS * (4 - chosen) * choice


@torch.no_grad()
def test_compiled_blocks_keep_it_too(backbone):
    expected = sampler(backbone, reuse=2)(NOISE, EMBED)
    compiled = for_sampling(copy.deepcopy(backbone), "blocks")
    chosen, layer = [], compiled.transformer.blocks[0].attn1.processor
    choose = layer.choice
    layer.choice = lambda query, key: chosen.append(len(query)) or choose(query, key)
    torch.testing.assert_close(sampler(compiled, reuse=2)(NOISE, EMBED), expected, rtol=1e-4, atol=1e-4)
    assert chosen == [2] * 2
