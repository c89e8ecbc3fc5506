"""Pictures of metrics.csv and selection.csv: quality against cost, which frames are chosen, samples side by side.

N clips, T frames, K keyframes, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt

from interdiff.plotting import log_axis, save_picture

if TYPE_CHECKING:
    from pandas import DataFrame

PANELS = {
    "frechet": "Frechet distance",
    "adherence": "adherence to the prompt",
    "clip_score": "likeness of frames and prompt",
    "distance": "distance from the exact sample",
    "smoothness": "distance of smoothness",
    "sharpness": "distance of sharpness",
}


def quality_by_cost(metrics: DataFrame, line: Sequence[str], path: Path) -> None:
    """Every quality against cost in steps of the backbone, with standard errors, as a PNG.

    metrics: metrics.csv; line: methods that are joined by a line, the teacher's.
    """
    measured = {name: label for name, label in PANELS.items() if metrics[name].notna().any()}
    joined = metrics[metrics["method"].isin(line)].sort_values("full_step_units", kind="stable")
    columns = 6
    legend = 0.2 * math.ceil(len(metrics) / columns) + 0.2  # inches
    height = 3.1 + legend
    plot, panels = plt.subplots(1, len(measured), figsize=(3.4 * len(measured), height))
    for panel, (name, label) in zip(panels, measured.items(), strict=True):
        panel.plot(joined["full_step_units"], joined[name], lw=1, color="0.6")
        for number, row in enumerate(metrics.to_dict("records")):
            if not row["full_step_units"]:  # ground truth costs nothing
                panel.axhline(row[name], ls="--", lw=1, color="0.3", label=row["method"])
                continue
            place = [row[key] for key in ("full_step_units", name, f"{name}_se")]
            marker = "o" if row["method"] in line else "sD^vP*Xd<>"[number % 10]
            panel.errorbar(*place, fmt=marker, ms=5, capsize=2, color=f"C{number % 10}", label=row["method"])
        panel.set(title=label)
        log_axis(panel, "cost, full steps")
        panel.grid(alpha=0.3)
    plot.tight_layout(rect=(0, legend / height, 1, 1))
    plot.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=columns, fontsize=8)
    save_picture(plot, path)


def error_ladder(rows: DataFrame, path: Path) -> None:
    """Quality from ground truth down to both phases, a bar for each row, with standard errors, as a PNG.

    rows: of metrics.csv, by method, in the order in which they are drawn.
    """
    names = [name for name in ("adherence", "frechet") if rows[name].notna().any()]
    plot, panels = plt.subplots(1, max(1, len(names)), figsize=(8, 1.2 + 0.32 * len(rows)), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], names, strict=False):
        panel.barh(rows.index, rows[name], xerr=rows[f"{name}_se"], capsize=2, color="C0", alpha=0.7)
        panel.set_title(PANELS[name])
        panel.grid(alpha=0.3, axis="x")
    panels[0, 0].invert_yaxis()
    plot.tight_layout()
    save_picture(plot, path)


def chosen_frames(chosen: Mapping[str, np.ndarray], frames: int, path: Path) -> None:
    """How often each frame between the ends is a keyframe, by who chose: indices [N, K], as a PNG."""
    plot, panels = plt.subplots(len(chosen), 1, figsize=(6, 1.3 * len(chosen)), sharex=True, squeeze=False)
    for panel, (name, indices) in zip(panels[:, 0], chosen.items(), strict=True):
        share = np.bincount(indices[:, 1:-1].ravel(), minlength=frames) / len(indices)
        panel.bar(np.arange(frames), share)
        panel.set_ylabel(name, rotation=0, ha="right", fontsize=8)
    panels[-1, 0].set_xlabel("latent frame")
    plot.tight_layout()
    save_picture(plot, path)


def losses_together(histories: Mapping[str, DataFrame], path: Path) -> None:
    """Losses of ways to train the same network, in one panel for each network, as a PNG.

    histories: history.csv by "network: name".
    """
    networks = list(dict.fromkeys(name.split(": ")[0] for name in histories))
    plot, panels = plt.subplots(1, len(networks), figsize=(3.6 * len(networks), 3.2), squeeze=False)
    for panel, network in zip(panels[0], networks, strict=True):
        for name, history in histories.items():
            if name.startswith(f"{network}: "):
                panel.plot(history["step"], history["loss"], lw=1.2, label=name.removeprefix(f"{network}: "))
        panel.set(title=network, xlabel="step", ylabel="loss", yscale="log")
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    plot.tight_layout()
    save_picture(plot, path)


def side_by_side(videos: Mapping[str, np.ndarray]) -> np.ndarray:
    """Clips of methods, a row for each method and a column for each prompt: [N, T, H, W, 3] -> [T, H', W', 3] uint8."""
    rows = [np.concatenate(list(clips), axis=2) for clips in videos.values()]
    line = np.full((*rows[0].shape[:1], 2, *rows[0].shape[2:]), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, line)][:-1], axis=1)
