import math
from functools import partial

import pytest
import torch
from test_flops import Operations
from torch.func import jvp
from torch.nn import functional as F

from interdiff.errors import InputError
from interdiff.settings import validated
from interdiff.video.attention import kernels, sparse_linear
from interdiff.video.attention.blocks import (
    attention_mass,
    block_map,
    block_means,
    block_scores,
    chosen_blocks,
    kept_count,
    mean_of_blocks,
)
from interdiff.video.attention.kernels import flexible, gathered, sage
from interdiff.video.attention.linear_branch import features, to_all, to_complement
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import SparseLinear
from interdiff.video.backbone.inference import for_sampling

BLOCK, DIM = 8, 16
LENGTHS = [1, 5, 8, 9, 40, 61]
"""Sequences shorter than a block, of whole blocks, and of neither."""
KINDS = ["sla", "sla_complement", "sla2"]


def tokens(length, seed=0, batch=2, heads=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    parts = (torch.randn(batch, heads, length, DIM, generator=generator) for _ in range(3))
    return [part.to(dtype).requires_grad_() for part in parts]


def masked(query, key, value, index):
    """The definition: dense attention in which what is not chosen has no weight."""
    length, blocks = query.shape[2], index.shape[2]
    mask = block_map(index, blocks).repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)[..., :length, :length]
    scores = query @ key.mT / math.sqrt(DIM)
    return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ value


def chosen(query, key, keep=0.3):
    return chosen_blocks(block_scores(query, key, BLOCK), keep)


@pytest.mark.parametrize("length", LENGTHS)
def test_gathered_blocks_are_the_masked_definition_with_its_gradients(length):
    parts = tokens(length)
    index = chosen(*parts[:2])
    weights = torch.randn(2, 3, length, DIM, generator=torch.Generator().manual_seed(9))
    found, expected = gathered(*parts, index, BLOCK), masked(*parts, index)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), parts),
        torch.autograd.grad((expected * weights).sum(), parts),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_flex_attention_is_the_masked_definition(length):
    parts = tokens(length)
    index = chosen(*parts[:2])
    with torch.no_grad():
        torch.testing.assert_close(flexible(*parts, index, BLOCK), masked(*parts, index), rtol=1e-5, atol=1e-6)


def test_forward_mode_is_that_of_the_definition():
    parts = tuple(part.detach() for part in tokens(37))
    tangents = tuple(part.detach() for part in tokens(37, seed=1))
    index = chosen(*parts[:2])
    found, expected = (
        jvp(lambda *x, f=f: f(*x), parts, tangents)
        for f in (lambda *x: gathered(*x, index, BLOCK), lambda *x: masked(*x, index))
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_any_length_is_finite_forwards_and_backwards(kind, length):
    layer = SparseLinear(DIM, AttentionSettings(kind=kind, keep=0.05, block=BLOCK))
    parts = tokens(length)
    out = layer.attend(*parts)
    assert out.shape == parts[0].shape
    for gradient in torch.autograd.grad(out.square().sum(), [*parts, *layer.parameters()], allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def oracle(layer, query, key, value):
    """All of a layer by masks of tokens, in fp32."""
    settings, length = layer.settings, query.shape[2]
    learned = {name: tensor.float() for name, tensor in layer.named_parameters()}
    means = [torch.stack([x.mean(2) for x in part.split(BLOCK, 2)], 2) for part in (query, key)]
    if settings.kind == "sla2":
        routed = [mean @ learned[f"routes.{n}"].mT for n, mean in enumerate(means)]
        index = chosen_blocks(routed[0] @ routed[1].mT, settings.keep)
    else:
        index = chosen_blocks(means[0] @ (means[1] - key.mean(2, keepdim=True)).mT, settings.keep)
    exact = masked(query, key, value, index)
    left = ~block_map(index, index.shape[2]).repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    seen = torch.ones_like(left) if settings.kind == "sla" else left
    weights = query.softmax(-1) @ key.softmax(-1).mT * seen[..., :length, :length]
    linear = weights @ value / (weights.sum(-1, keepdim=True) + 1e-5)
    if settings.kind != "sla2":
        return exact + F.linear(linear, learned["proj_l.weight"], learned["proj_l.bias"])
    ratio = F.linear(means[0], learned["ratio.weight"], learned["ratio.bias"]).sigmoid()
    ratio = ratio.repeat_interleave(BLOCK, 2)[:, :, :length]
    return ratio * exact + (1 - ratio) * linear


def learning(kind, keep=0.3):
    """A layer some steps after its start."""
    torch.manual_seed(0)
    layer = SparseLinear(DIM, AttentionSettings(kind=kind, keep=keep, block=BLOCK))
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor += 0.3 * torch.randn_like(tensor)
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-3)])
def test_gradients_are_those_of_dense_masks(kind, length, dtype, bound):
    """Of queries, keys, values and all that a layer learns, relative; a gradient of next to nothing is compared with 1."""
    layer, parts = learning(kind), tokens(length, dtype=dtype)
    weights = torch.randn(2, 3, length, DIM, generator=torch.Generator().manual_seed(9))
    exact = [part.detach().float().requires_grad_() for part in parts]
    tensors = list(layer.parameters())
    out, expected = layer.attend(*parts), oracle(layer, *exact)
    found = torch.autograd.grad((out.float() * weights).sum(), [*parts, *tensors], allow_unused=True)
    wanted = torch.autograd.grad((expected * weights).sum(), [*exact, *tensors], allow_unused=True)
    assert (out.float() - expected).norm() <= bound * expected.norm()
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert (ours.float() - theirs).norm() <= bound * theirs.norm().clamp_min(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [5, 37])
def test_forward_mode_through_a_layer_is_that_of_dense_masks(kind, length):
    layer = learning(kind)
    parts, tangents = (tuple(part.detach() for part in tokens(length, seed)) for seed in (0, 1))
    ours, theirs = (jvp(run, parts, tangents) for run in (layer.attend, partial(oracle, layer)))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["sla", "sla_complement"])
def test_at_first_the_linear_branch_is_silent_and_learns(kind):
    layer = SparseLinear(DIM, AttentionSettings(kind=kind, keep=0.3, block=BLOCK))
    parts = tokens(40)
    out = layer.attend(*parts)
    torch.testing.assert_close(out, masked(*parts, chosen(*parts[:2])), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(out.square().sum(), [layer.proj_l.weight])
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_16_bits_are_within_their_rounding(kind):
    layer = SparseLinear(DIM, AttentionSettings(kind=kind, keep=0.3, block=BLOCK))
    exact, rounded = (layer.attend(*tokens(61, dtype=dtype)).float() for dtype in (torch.float32, torch.bfloat16))
    # Blocks whose scores are alike may change places.
    wrong = ((exact - rounded).abs() > 0.05).float().mean()
    assert wrong < 0.02


def test_with_all_blocks_attention_is_dense():
    parts = tokens(61)
    layer = SparseLinear(DIM, AttentionSettings(kind="sla", keep=1.0, block=BLOCK))
    torch.testing.assert_close(layer.attend(*parts), F.scaled_dot_product_attention(*parts), rtol=1e-5, atol=1e-6)
    index = chosen(*parts[:2], keep=1.0)
    torch.testing.assert_close(attention_mass(*parts[:2], index, BLOCK), torch.ones(2, 3))
    assert attention_mass(*parts[:2], chosen(*parts[:2]), BLOCK).max() < 1


@pytest.mark.parametrize("feature_map", ["softmax", "elu", "relu"])
def test_linear_attention_is_the_sum_it_says(feature_map):
    query, key, value = tokens(29)
    weights = features(query, feature_map) @ features(key, feature_map).mT
    expected = weights @ value / (weights.sum(-1, keepdim=True) + 1e-5)
    torch.testing.assert_close(to_all(query, key, value, feature_map), expected, rtol=1e-4, atol=1e-5)
    index = chosen(query, key)
    left = ~block_map(index, index.shape[2]).repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)[..., :29, :29]
    weights = weights * left
    expected = weights @ value / (weights.sum(-1, keepdim=True) + 1e-5)
    found = to_complement(query, key, value, index, BLOCK, feature_map)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_choice_is_exact_and_copies_no_tokens(length, dtype):
    query, key, _ = (part.detach() for part in tokens(length, dtype=dtype))
    with Operations() as operations:
        means, scores = block_means(query, BLOCK), block_scores(query, key, BLOCK)
    assert "constant_pad_nd" not in operations.names
    exact = [torch.stack([x.float().mean(2) for x in part.split(BLOCK, 2)], 2) for part in (query, key)]
    torch.testing.assert_close(means, exact[0], rtol=1e-5, atol=1e-6)
    overall = key.float().mean(2, keepdim=True)
    torch.testing.assert_close(mean_of_blocks(exact[1], length, BLOCK), overall, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scores, exact[0] @ (exact[1] - overall).mT, rtol=1e-5, atol=1e-6)
    ordered = chosen_blocks(scores, 0.3, ordered=True)
    assert (scores.gather(-1, ordered).diff(dim=-1) <= 0).all()
    blocks = scores.shape[-1]
    assert torch.equal(block_map(chosen_blocks(scores, 0.3), blocks), block_map(ordered, blocks))


def test_at_least_one_block_is_kept():
    assert [kept_count(blocks, 0.07) for blocks in (1, 5, 100)] == [1, 1, 7]
    assert kept_count(3, 1.0) == 3


def test_a_router_learns_softly_and_chooses_hard():
    settings = AttentionSettings(kind="sla2", keep=0.3, block=BLOCK, router_temperature=1.0)
    layer = SparseLinear(DIM, settings)
    parts = tokens(61)
    (soft,) = torch.autograd.grad(layer.attend(*parts).square().sum(), [layer.routes[0]])
    assert soft.abs().max() > 1e-4
    hard = layer.eval().attend(*parts)
    assert torch.equal(hard, SparseLinear(DIM, AttentionSettings(kind="sla2", keep=0.3, block=BLOCK)).attend(*parts))


def test_sage_says_what_it_lacks(monkeypatch):
    parts = tokens(140)
    index = chosen_blocks(block_scores(*parts[:2], 64), 0.3)
    with pytest.raises(InputError, match=r"sampling.sage: the package spas_sage_attn is not installed"):
        sage(*parts, index, 64)
    monkeypatch.setattr(kernels, "find_spec", lambda name: True)
    with pytest.raises(InputError, match=r"spas_sage_attn has no backward pass; networks learn without it"):
        sage(*parts, index, 64)
    with torch.no_grad(), pytest.raises(InputError, match=r"blocks of 8 and 140 tokens; expected blocks of 64"):
        sage(*parts, index, BLOCK)


def test_a_gradient_through_kernels_that_only_sample_is_an_error(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: True)
    layer = for_sampling(SparseLinear(DIM, AttentionSettings(kind="sla")), "no", sage=True).train()
    with pytest.raises(InputError, match=r"spas_sage_attn has no backward pass"):
        layer.attend(*tokens(140))


def test_the_way_that_is_taken_is_said_once(caplog):
    sparse_linear._say.cache_clear()
    layer, parts = SparseLinear(DIM, AttentionSettings(kind="sla", block=BLOCK)), tokens(40)
    with caplog.at_level("INFO"):
        for _ in range(2):
            layer.attend(*parts)
        layer.to("meta").attend(*(part.to("meta") for part in parts))
    assert [record.message for record in caplog.records] == ["sparse attention by gathered blocks"]


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match=r"router_temperature: expected 0 for kind sla, which has no router"):
        validated(AttentionSettings, {"kind": "sla", "router_temperature": 1.0})
