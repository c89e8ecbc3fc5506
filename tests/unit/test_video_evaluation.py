import numpy as np
import pytest
import torch

from interdiff.video.codec.linear import LinearCodec
from interdiff.video.evaluation.interpolation import (
    correlation,
    frame_figures,
    jackknife,
    over_clips,
    pixels_by_latent,
    ssim,
    table_rows,
)
from interdiff.video.figures.interpolation import errors_by_gap, field_picture, ranked_samples, widest_gap
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.smooth import smooth

FRAMES = 21


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    made = LinearCodec(2)
    made.basis = torch.linalg.qr(torch.randn(made.basis.shape[1], 16))[0].T.contiguous()
    made.mean, made.std = torch.full_like(made.mean, 0.5), torch.full((16,), 0.1)
    return made


def clips(count=3):
    generator = torch.Generator().manual_seed(1)
    steps = torch.randn(count, 16, FRAMES, 4, 4, generator=generator)
    return steps.cumsum(2) / 4


def masks(*known):
    mask = torch.zeros(len(known), FRAMES, dtype=torch.bool)
    for row, frames in enumerate(known):
        mask[row, [0, *frames, FRAMES - 1]] = True
    return mask


def figures(codec, rule, error=True):
    mask = masks((), (5, 8), (10,))
    made = []
    for z in clips():
        filled, expected = fill(z.expand(3, *z.shape), mask, rule)
        made.append(frame_figures(z, filled, expected if error else None, mask, codec))
    return {name: np.stack([one[name] for one in made]) for name in made[0]}


def test_equal_pictures_are_alike_and_ssim_follows_its_formula():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 3, 9, 9, generator=generator)
    torch.testing.assert_close(ssim(a, a), torch.ones(2))
    x, y = (p[0, 0, :7, :7].double().flatten().numpy() for p in (a, b))
    one = ssim(a[:1, :1, :7, :7], b[:1, :1, :7, :7])
    c1, c2 = 0.01**2, 0.03**2
    covariance = np.cov(x, y)
    expected = (2 * x.mean() * y.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert float(one) == pytest.approx(expected, abs=1e-5)


def test_pixels_belong_to_the_latent_that_stands_for_them():
    video = torch.arange(9, dtype=torch.uint8)[None, :, None, None, None].expand(1, 9, 2, 2, 3)
    shown = (pixels_by_latent(video)[0, :, :, 0, 0, 0] * 255).round().long()
    assert shown.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]


def test_figures_are_of_missing_frames_alone(codec):
    found = figures(codec, lerp)
    missing = ~masks((), (5, 8), (10,)).numpy()
    for name in ("gap", "latent_l1", "psnr", "ssim"):
        assert (np.isfinite(found[name]) == missing).all()
    assert found["gap"][0, 1, 1:5].tolist() == [5, 5, 5, 5]
    assert found["gap"][0, 1, 6:8].tolist() == [3, 3]
    z = clips()[0]
    straight = z[:, 0] + (z[:, 20] - z[:, 0]) * 0.35
    off = (straight - z[:, 7]).abs()
    assert found["latent_l1"][0, 0, 7] == pytest.approx(float(off.mean()), rel=1e-4)
    assert found["latent_mse"][0, 0, 7] == pytest.approx(float(off.square().mean()), rel=1e-4)


def test_exact_frames_are_as_good_as_eight_bits(codec):
    z = clips()[0]
    found = frame_figures(z, z[None].clone(), None, masks(()), codec)
    assert np.nanmax(found["latent_l1"]) == 0
    assert np.nanmin(found["psnr"]) == pytest.approx(10 * np.log10(12 * 255**2))
    assert "expected" not in found


def test_means_weigh_clips_alike():
    values = np.array([[[1.0, 1.0, 1.0, 5.0]], [[3.0, 0.0, 0.0, 0.0]], [[7.0, 7.0, 7.0, 7.0]]])
    chosen = np.array([[[True] * 3 + [False]], [[True] + [False] * 3], [[False] * 4]])
    estimate = over_clips(values, chosen)
    assert (estimate.mean, estimate.se) == (2.0, 1.0)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    estimate = jackknife(lambda sums: sums[:, 0] / sums[:, 1], np.stack([values, np.ones(30)], -1))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.se == pytest.approx(values.std(ddof=1) / np.sqrt(30))


def test_correlations_come_from_sums():
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    y = y + x
    sums = np.array([[50, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]])
    assert correlation(sums)[0] == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_rows_compare_a_method_with_the_reference_on_the_same_frames(codec):
    reference, other = figures(codec, lerp), figures(codec, smooth)
    rows = {row["gap"]: row for row in table_rows("smooth", other, reference)}
    assert rows.keys() == {"2-3", "4-6", "7-10", "11-20", "all"}
    assert rows["all"]["n"] == 3 * (19 + 17 + 18) == sum(row["n"] for gap, row in rows.items() if gap != "all")
    for row in rows.values():
        assert row["psnr_vs_reference"] < 0 < row["latent_l1_vs_reference"]
        assert -1 <= row["uncertainty_corr"] <= 1
        assert row["calibration"] > 0 < row["calibration_se"]
    own = table_rows("lerp", reference, reference)[-1]
    assert (own["latent_l1_vs_reference"], own["psnr_vs_reference"], own["worst_vs_reference"]) == (0, 0, 0)
    without = table_rows("optical_flow", figures(codec, smooth, error=False), reference)[-1]
    assert {"uncertainty_corr", "calibration"}.isdisjoint(without)
    assert without["worst_vs_reference"] == rows["all"]["worst_vs_reference"] > 0


def test_samples_are_ranked_by_what_they_gain(codec):
    reference, other = figures(codec, lerp), figures(codec, smooth)
    samples = ranked_samples(other, reference)
    gain = {name: np.nanmean(other["latent_l1"][at] - reference["latent_l1"][at]) for name, at in samples.items()}
    assert gain["best"] < gain["median"] < gain["worst"]


def test_pictures_are_drawn(codec, tmp_path):
    errors_by_gap({"lerp": figures(codec, lerp)}, tmp_path / "errors.png")
    pictures, fields = widest_gap(lerp, clips(1), masks((4,)), lambda z: codec.decode(z)[0].numpy())
    assert list(pictures) == ["frame 16", "frame 80", "frame 48, truth", "interpolated"]
    field_picture(pictures, fields, tmp_path / "fields.png")
    for name in ("errors", "fields"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
