"""How near filled clips come to the truth: figures per missing frame, and their means over clips by gap.

N clips, R masks, C channels, T latent frames, H x W latents or pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from interdiff.two_phase.interpolation import neighbours
from interdiff.video.codec.codec import FRAMES_PER_LATENT, Codec, whole_blocks

GAPS = {"2-3": (2, 3), "4-6": (4, 6), "7-10": (7, 10), "11-20": (11, 20), "all": (2, 10**6)}
"""Buckets of the gap, in latent frames from one known frame to the next."""
WINDOW = 7
SMALLEST_MSE = (1 / 255) ** 2 / 12
"""Of pixels in [0, 1]: what rounding to 8 bits leaves; equal frames count as this near."""
FIGURES = ("latent_l1", "latent_mse", "psnr", "ssim")


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of pictures [N, C, H, W] in [0, 1]: [N].

    Wang et al. 2004, equation 13, over 7 x 7 windows of equal weights, unbiased variances, mean over windows and channels.
    """
    unbiased = WINDOW**2 / (WINDOW**2 - 1)

    def mean(x: Tensor) -> Tensor:
        # A tenth of what avg_pool2d takes on a CPU.
        return x.unfold(-1, WINDOW, 1).mean(-1).unfold(-2, WINDOW, 1).mean(-1)

    mu, nu = mean(first), mean(second)
    variances = (mean(first * first) - mu * mu + mean(second * second) - nu * nu) * unbiased
    covariance = (mean(first * second) - mu * nu) * unbiased
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mu * nu + c1) * (2 * covariance + c2) / ((mu * mu + nu * nu + c1) * (variances + c2))
    return similarity.mean((1, 2, 3))


def pixels_by_latent(video_bthwc: Tensor) -> Tensor:
    """Frames [B, 1 + 4 k, H, W, 3] uint8 by the latent that stands for them, in [0, 1]: [B, 1 + k, 4, 3, H, W]."""
    return rearrange(whole_blocks(video_bthwc), "b (t n) h w c -> b t n c h w", n=FRAMES_PER_LATENT).float() / 255


def frame_figures(
    truth_cthw: Tensor, filled_rcthw: Tensor, error: Tensor | None, mask_rt: Tensor, codec: Codec
) -> dict[str, np.ndarray]:
    """Figures of every missing frame of R masks of a clip, NaN at known ones: arrays [R, T] by name, `gap` among them.

    Args:
        error: expected absolute error [R, T, H, W]; None where the method has none.

    `expected` are the sums over places of x, y, xx, yy and xy, x the expected and y the true error: [R, T, 5].
    """
    mask_rt = mask_rt.to(truth_cthw.device)
    off = (filled_rcthw - truth_cthw).abs()
    truth, filled = (pixels_by_latent(codec.decode(z)) for z in (truth_cthw[None], filled_rcthw))
    pictures = truth.expand_as(filled), filled
    missing = ~mask_rt
    mse = (pictures[0] - pictures[1]).square()[missing].mean((1, 2, 3, 4))
    left, right = neighbours(mask_rt)
    alike = ssim(*(p[missing].flatten(0, 1) for p in pictures))
    values = {
        "gap": (right - left)[missing].float(),
        "latent_l1": reduce(off, "b c t h w -> b t", "mean")[missing],
        "latent_mse": reduce(off.square(), "b c t h w -> b t", "mean")[missing],
        "psnr": -10 * mse.clamp_min(SMALLEST_MSE).log10(),
        "ssim": reduce(alike, "(n f) -> n", "mean", f=FRAMES_PER_LATENT),
    }
    if error is not None:
        x, y = error[missing].double().flatten(1), off.mean(1)[missing].double().flatten(1)
        values["expected"] = torch.stack([x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)], -1)
        values["places"] = torch.full((len(x),), x.shape[1])
    return {name: _scattered(value, missing) for name, value in values.items()}


def _scattered(values: Tensor, missing: Tensor) -> np.ndarray:
    full = torch.full((*missing.shape, *values.shape[1:]), torch.nan, dtype=torch.float64)
    full[missing.cpu()] = values.double().cpu()
    return full.numpy()


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    se: float


def over_clips(values: np.ndarray, chosen: np.ndarray) -> Estimate:
    """The mean over clips of means over each clip's chosen frames: values and bool [N, R, T].

    Clips without any are left out.
    """
    counts = chosen.sum((1, 2))
    sums = np.where(chosen, values, 0).sum((1, 2))
    clips = sums[counts > 0] / counts[counts > 0]
    if len(clips) < 2:
        return Estimate(float(clips.mean()) if len(clips) else float("nan"), float("nan"))
    return Estimate(float(clips.mean()), float(clips.std(ddof=1) / np.sqrt(len(clips))))


def jackknife(statistic: Callable[[np.ndarray], np.ndarray], clips: np.ndarray) -> Estimate:
    """A statistic of sums over clips [N, ...] and its standard error by leaving out one clip at a time.

    statistic: of sums [M, ...] -> [M].
    """
    total = clips.sum(0, keepdims=True)
    value, without = statistic(total)[0], statistic(total - clips)
    count = len(clips)
    return Estimate(float(value), float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())))


def correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's, from [M, 6]: n and the sums of x, y, xx, yy, xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def calibration(sums: np.ndarray) -> np.ndarray:
    """The mean expected error over the mean true one, from sums as `correlation` takes."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[:, 1] / sums[:, 2]


def table_rows(
    method: str, figures: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> list[dict[str, float | str | int]]:
    """A row for each bucket of the gap, beside a reference method on the same frames.

    Args:
        figures, reference: arrays of `frame_figures` of all clips, [N, R, T].

    `*_vs_reference` are relative for `latent_l1`, differences for the others; `worst_vs_reference` is the largest growth of
    a sample's latent_mse, a sample being one mask of a clip.
    """
    rows: list[dict[str, float | str | int]] = []
    for bucket, (least, most) in GAPS.items():
        chosen = (figures["gap"] >= least) & (figures["gap"] <= most)
        if not chosen.any():
            continue
        row: dict[str, float | str | int] = {"method": method, "gap": bucket, "n": int(chosen.sum())}
        for name in FIGURES:
            estimate = over_clips(figures[name], chosen)
            row |= {name: estimate.mean, f"{name}_se": estimate.se}
        if "expected" in figures:
            sums = np.concatenate([figures["places"][..., None], figures["expected"]], -1)
            clips = np.where(chosen[..., None], sums, 0).sum((1, 2))
            for name, statistic in (("uncertainty_corr", correlation), ("calibration", calibration)):
                estimate = jackknife(statistic, clips)
                row |= {name: estimate.mean, f"{name}_se": estimate.se}
        pairs = np.stack([np.where(chosen, f["latent_l1"], 0).sum((1, 2)) for f in (figures, reference)], -1)
        change = jackknife(lambda sums: sums[:, 0] / sums[:, 1] - 1, pairs)
        row |= {"latent_l1_vs_reference": change.mean, "latent_l1_vs_reference_se": change.se}
        for name in ("psnr", "ssim"):
            change = over_clips(figures[name] - reference[name], chosen)
            row |= {f"{name}_vs_reference": change.mean, f"{name}_vs_reference_se": change.se}
        grown = [
            np.where(chosen, f["latent_mse"], 0).sum(2) / np.maximum(chosen.sum(2), 1) for f in (figures, reference)
        ]
        row["worst_vs_reference"] = float((grown[0] - grown[1]).max())
        rows.append(row)
    return rows
