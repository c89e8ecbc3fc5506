"""Pictures of interpolators: what they made of the best, the median and the worst clips, errors by gap, fields of flow.

N clips, R masks, C channels, T latent frames, H x W pixels, h x w latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from torch import Tensor

from interdiff.plotting import save_picture
from interdiff.video.codec.codec import FRAMES_PER_LATENT
from interdiff.video.evaluation.interpolation import over_clips
from interdiff.video.interpolators.calibrated import Calibrated
from interdiff.video.interpolators.interpolator import Interpolator
from interdiff.video.interpolators.warping import WithFlows

LABELS = {"latent_l1": "mean absolute error of latents", "psnr": "PSNR of decoded frames, dB"}

ARROWS = 10
"""Of a flow, about so many per side."""


def ranked_samples(
    figures: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> dict[str, tuple[int, int]]:
    """The samples (clip, mask) with the best, the median and the worst mean absolute error beside the reference's.

    Args:
        figures, reference: of `frame_figures`, arrays [N, R, T].
    """
    change = np.nanmean(figures["latent_l1"] - reference["latent_l1"], axis=2)
    order = np.argsort(change, axis=None)
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    return {name: (int(n) // change.shape[1], int(n) % change.shape[1]) for name, n in chosen.items()}


def errors_by_gap(figures: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """Error and PSNR against the gap for each method, means over clips with their standard errors, as a PNG."""
    plot, panels = plt.subplots(1, len(LABELS), figsize=(5 * len(LABELS), 3.8))
    for panel, (name, label) in zip(panels, LABELS.items(), strict=True):
        for method, values in figures.items():
            gaps = np.unique(values["gap"][~np.isnan(values["gap"])])
            points = [over_clips(values[name], values["gap"] == gap) for gap in gaps]
            panel.errorbar(gaps, [p.mean for p in points], [p.se for p in points], label=method, lw=1.2, capsize=2)
        panel.set(xlabel="gap in latent frames", ylabel=label)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    plot.tight_layout()
    save_picture(plot, path)


def widest_gap(
    model: Interpolator, truth: Tensor, mask: Tensor, decoded: Callable[[Tensor], np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What `field_picture` draws of the middle of a clip's largest gap.

    Args:
        truth, mask: of one clip, [1, C, T, H, W] and [1, T].
        decoded: latents [1, C, T, H, W] -> frames [1 + 4 (T - 1), H, W, 3].
    """
    known = mask[0].nonzero().flatten()
    left, right = known[(widest := int(known.diff().argmax())) : widest + 2].tolist()
    middle = (left + right) // 2
    first, last, between = (truth[:, :, frame] for frame in (left, right, middle))
    gap = truth.new_tensor([float(right - left)])
    made = model(first, last, (middle - left) / gap[:, None], gap)
    filled = truth.clone()
    filled[:, :, middle] = made.z[:, 0]
    shown = {n: FRAMES_PER_LATENT * n for n in (left, right, middle)}
    frames, made_frames = decoded(truth), decoded(filled)
    pictures = {f"frame {shown[n]}": frames[shown[n]] for n in (left, right)} | {
        f"frame {shown[middle]}, truth": frames[shown[middle]],
        "interpolated": made_frames[shown[middle]],
    }
    fields = {
        "expected": made.error[0, 0].cpu().numpy(),
        "true": (made.z[:, 0] - between).abs().mean(1)[0].cpu().numpy(),
    }
    moving = model.inside if isinstance(model, Calibrated) else model
    if isinstance(moving, WithFlows):
        forward, backward = moving.flows(first, last, gap)
        fields |= {"forward": forward[0].cpu().numpy(), "backward": backward[0].cpu().numpy()}
    return pictures, fields


def field_picture(pictures: Mapping[str, np.ndarray], fields: Mapping[str, np.ndarray], path: Path) -> None:
    """One moment between two frames, as a PNG.

    Args:
        pictures: decoded frames [H, W, 3] by title; on the first two of them flows are drawn.
        fields: `expected` and `true` absolute errors [h, w], and where there are flows `forward` and `backward` [2, H, W] of
            any size, in their own places.
    """
    plot, panels = plt.subplots(1, len(pictures) + 2, figsize=(2.4 * (len(pictures) + 2), 2.9))
    for n, (panel, (title, picture)) in enumerate(zip(panels, pictures.items(), strict=False)):
        panel.imshow(picture)
        panel.set_title(title, fontsize=9)
        if (flow := ("forward", "backward", "none", "none")[n]) in fields:
            u, v = fields[flow]
            scale, step = picture.shape[0] / u.shape[0], max(1, u.shape[0] // ARROWS)
            y, x = (np.mgrid[: u.shape[0], : u.shape[1]] + 0.5) * scale - 0.5
            x, y, u, v = (a[step // 2 :: step, step // 2 :: step] for a in (x, y, u, v))
            panel.quiver(x, y, u * scale, v * scale, color="w", angles="xy", scale_units="xy", scale=1, width=0.008)
    most = max(fields["expected"].max(), fields["true"].max())
    for panel, name in zip(panels[-2:], ("expected", "true"), strict=True):
        shown = panel.imshow(fields[name], vmin=0, vmax=most, cmap="magma")
        panel.set_title(f"{name} error", fontsize=9)
    plot.colorbar(shown, ax=panels[-1], fraction=0.046)
    for panel in panels:
        panel.set(xticks=[], yticks=[])
    plot.tight_layout()
    save_picture(plot, path)
