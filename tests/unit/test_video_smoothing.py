import copy

import pytest
import torch
from torch.func import jvp

from interdiff.video.backbone.backbone import build_backbone, fit_covariance
from interdiff.video.backbone.smoothing import JITTER, LENGTHS, Smoothing, matern

B, C, T, H, W = 2, 3, 9, 2, 4
ERROR = 0.4
PLACES = torch.stack([torch.arange(T), torch.tensor([0, 1, 2, 5, 9, 11, 12, 19, 20])])


@pytest.fixture
def smoothing():
    weights = torch.rand(C, len(LENGTHS), generator=torch.Generator().manual_seed(0))
    return Smoothing(ERROR, weights.tolist())


def given(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(B, C, T, H, W, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("columns", [1, T])
def test_the_velocity_leads_to_the_posterior_mean(smoothing, columns):
    z, velocity = given()
    sigma = torch.linspace(0.1, 0.9, B * columns).view(B, columns)
    levels = sigma.expand(-1, T)
    covariance = smoothing.covariance(PLACES)
    noise = torch.diag_embed((ERROR * levels).square())[:, None]
    by = covariance @ torch.linalg.inv(covariance + noise + JITTER * torch.eye(T))
    level = levels[:, None, :, None, None]
    expected = torch.einsum("bcfg,bcghw->bcfhw", by, z - level * velocity)
    smooth = z - level * smoothing(velocity, z, sigma, PLACES)
    torch.testing.assert_close(smooth, expected, atol=2e-3, rtol=1e-3)


def test_frames_without_noise_keep_their_velocity(smoothing):
    z, velocity = given()
    sigma = torch.full((B, T), 0.6)
    sigma[:, ::2] = 0
    smooth = smoothing(velocity, z, sigma, PLACES)
    assert torch.equal(smooth[:, :, ::2], velocity[:, :, ::2])
    assert not torch.equal(smooth[:, :, 1::2], velocity[:, :, 1::2])


def test_what_is_steady_stays_and_flicker_goes():
    smoothing = Smoothing(ERROR, [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]] * C)
    z, sigma = torch.zeros(B, C, T, H, W), torch.ones(B, 1)
    steady = torch.ones_like(z)
    flicker = steady * (-1.0) ** torch.arange(T)[:, None, None]
    places = torch.arange(T).expand(B, -1)
    kept, gone = (-smoothing(-guess, z, sigma, places) for guess in (steady, flicker))
    assert (kept - 1).abs().max() < 0.1
    assert gone.abs().max() < 0.3


def test_covariances_are_fitted_to_clips():
    time = torch.linspace(0, 1, 21, dtype=torch.float64)
    apart = (time[:, None] - time).abs()
    lengths = torch.tensor(LENGTHS, dtype=torch.float64)
    truth = torch.tensor([[0.5, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0, 0.0, 0.3]], dtype=torch.float64)
    covariance = torch.einsum("fgj,cj->cfg", matern(apart[..., None], lengths), truth)
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(21))
    draws = torch.randn(4000, 2, 21, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    clips = torch.einsum("cfg,bcgp->bcfp", root, draws).unflatten(-1, (2, 2))
    fitted = Smoothing(ERROR, fit_covariance(clips)).covariance(torch.arange(21)[None])[0]
    torch.testing.assert_close(fitted, covariance.float(), atol=0.05, rtol=0)


def network(smoothing):
    torch.manual_seed(0)
    size = {"num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 32, "text_dim": 8}
    model = build_backbone(C, [1, 2, 2], smoothing=smoothing, **size)
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.1)
    return model


def test_backbones_smooth_their_guesses_and_not_their_corrections(smoothing):
    z, _ = given()
    model, sigma, embed = network(smoothing.config), torch.full((B, 1), 0.7), torch.randn(B, 2, 8)
    plain = copy.deepcopy(model)
    plain.smoothing = None
    velocity = plain(z, sigma, embed, PLACES)
    assert torch.equal(model(z, sigma, embed, PLACES), smoothing(velocity, z, sigma, PLACES))
    corrections = [each(z, sigma, embed, PLACES, correction=True) for each in (model, plain)]
    assert torch.equal(*corrections)
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_tangents_over_levels_are_those_of_differences(smoothing):
    z, velocity = (part.double() for part in given())

    def along(level):
        return smoothing(velocity, z, level.expand(B, 1), PLACES)

    level, step = torch.tensor(0.5), 1e-2
    _, tangent = jvp(along, (level,), (torch.tensor(1.0),))
    differences = (along(level + step) - along(level - step)) / (2 * step)
    torch.testing.assert_close(tangent, differences, atol=2e-2, rtol=2e-2)
