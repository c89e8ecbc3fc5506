"""Under autocast to bf16, coordinates, grids and noise levels are those of fp32."""

import pytest
import torch
from diffusers import WanTransformer3DModel
from test_maze_networks import condition_of

from interdiff.learning.precision import full_precision, mixed_precision
from interdiff.maze.planner.networks import Waypoints, sample_sdf
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.methods.flow import FlowInterpolator
from interdiff.video.interpolators.methods.sinkhorn import SinkhornInterpolator
from interdiff.video.interpolators.straightener import Straightened, Straightener, _positions
from interdiff.video.interpolators.warping import warp

WIDE = torch.arange(104.0).expand(1, 1, 60, 104)
"""What each place of a latent of Wan's size holds: its column."""


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [({"avx2": True}, "no"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")],
)
def test_auto_is_bf16_where_a_cpu_has_instructions_for_it(monkeypatch, instructions, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert mixed_precision("auto", torch.device("cpu")) == expected
    assert mixed_precision("bf16", torch.device("cpu")) == "bf16"


def test_a_warp_finds_every_column_of_a_wide_latent():
    flow = torch.full((1, 2, 60, 104), 0.25)
    with autocast():
        moved = warp(WIDE.bfloat16(), flow.bfloat16())
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved[..., :103], (WIDE + 0.25)[..., :103], rtol=0, atol=1e-4)


def test_full_precision_lasts_as_long_as_the_function():
    @full_precision
    def product(a, b):
        return a @ b

    a = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    exact = a @ a
    with autocast():
        assert torch.equal(product(a, b=a), exact)
        assert product(a, a).dtype == product(a.bfloat16(), a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16
    assert product(a.to("meta"), a.to("meta")).is_meta


def test_waypoints_and_walls_are_where_they_are():
    condition, waypoints = condition_of(), Waypoints()
    points = torch.rand(len(condition.goal), 5, 2, generator=torch.Generator().manual_seed(0))
    exact = *waypoints(condition), sample_sdf(condition.sdf, points)
    with autocast():
        mixed = *waypoints(condition), sample_sdf(condition.sdf, points)
    for one, other in zip(exact, mixed, strict=True):
        assert torch.equal(one, other)


def test_positions_of_tokens_are_exact():
    like = torch.zeros(52, 64)
    assert torch.equal(_positions(30, 52, like.bfloat16()), _positions(30, 52, like))


def flow(residual):
    return FlowInterpolator(4, 8, 1, 1, True, True, 1, 2, residual, 2)


INTERPOLATORS = {
    "flow": lambda: flow(True),
    "flow without a residual": lambda: flow(False),
    "sinkhorn": lambda: SinkhornInterpolator(4, 8, 2, 2, 5, "mean", "latent", [0.0, 10.0], 0.1, 1.0),
    "straightened": lambda: Straightened(Straightener(4, 2, "convolutional", width=8, blocks=1), flow(False)),
    "straightened by tokens": lambda: Straightened(
        Straightener(4, 2, "token", width=8, blocks=1, patch=2, heads=2), flow(True)
    ),
}


@pytest.mark.parametrize("name", INTERPOLATORS)
def test_every_interpolator_fills_and_learns_under_autocast(name):
    torch.manual_seed(0)
    model = INTERPOLATORS[name]()
    z = torch.randn(2, 4, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 0, 0, 1, 0, 1]]).bool().expand(2, -1)
    exact, _ = fill(z, mask, model)
    with autocast():
        mixed, error = fill(z, mask, model)
        mixed.square().mean().backward()
    assert mixed.dtype == error.dtype == torch.float32
    assert (mixed - exact).abs().max() < 0.05
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_wan_hears_its_noise_level_in_fp32():
    torch.manual_seed(0)
    model = WanDenoiser(
        WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1
        ),
        preconditioned=False,
    )
    heard = []
    model.transformer.condition_embedder.time_embedder.register_forward_hook(lambda *call: heard.append(call[2]))
    sigma = torch.tensor([[0.9991, 0.9992]])
    inputs = torch.randn(1, 16, 2, 4, 4), sigma, torch.randn(1, 3, 8), torch.tensor([[0, 1]])
    model(*inputs)
    with autocast():
        model(*inputs)
    assert torch.equal(*heard)
