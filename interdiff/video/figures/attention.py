"""Pictures of what attention costs: profile.csv and attention_costs.csv."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from interdiff.plotting import save_picture

if TYPE_CHECKING:
    from pandas import DataFrame


def step_profile(profile: DataFrame, path: Path) -> None:
    """Milliseconds of a training step per clip, a bar for each kind of attention and number of frames, as a PNG.

    profile: profile.csv; what is of no step, without a kind of attention, is left out.
    """
    steps = profile[profile["share"].notna()]
    bars = steps.pivot_table(index=["attention", "frames"], columns="part", values="ms", aggfunc="sum", sort=False)
    plot, panel = plt.subplots(figsize=(8, 1.6 + 0.5 * len(bars)))
    labels = [f"{attention}, {frames} frames" for attention, frames in bars.index]
    left = [0.0] * len(bars)
    for number, part in enumerate(bars.columns):
        panel.barh(labels, bars[part], left=left, label=part, color=f"C{number}")
        left = [start + width for start, width in zip(left, bars[part], strict=True)]
    panel.invert_yaxis()
    panel.set_xlabel("milliseconds of a training step, per clip")
    panel.legend(fontsize=8, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.25))
    plot.tight_layout()
    save_picture(plot, path)


def costs_by_length(costs: DataFrame, path: Path) -> None:
    """Arithmetic of a pass, a look and phase 1 against the clip's latent frames, a panel for each network, as a PNG.

    costs: attention_costs.csv.
    """
    networks = list(dict.fromkeys(costs["network"]))
    plot, panels = plt.subplots(1, len(networks), figsize=(4 * len(networks), 4.4), squeeze=False)
    for panel, network in zip(panels[0], networks, strict=True):
        for (part, kind, keep), rows in costs[costs["network"] == network].groupby(
            ["part", "attention", "keep"], sort=False
        ):
            label = part if kind == "dense" else f"{part}, {kind}, keep {keep:g}"
            panel.plot(rows["frames"], rows["flops"] / 1e12, "o-", ms=4, lw=1.2, label=label)
        panel.set(title=network, xlabel="latent frames", ylabel="TFLOP", yscale="log")
        panel.set_xticks(sorted(set(costs["frames"])))
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    plot.tight_layout()
    save_picture(plot, path)
