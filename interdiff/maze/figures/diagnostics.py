"""Pictures of what phase 2 meets at each level, and of which frames are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

from interdiff.maze.evaluation.diagnostics import LEVEL_FIGURES
from interdiff.plotting import log_axis, save_picture

STYLES = {"exact": "--", "phase 1": "-"}
"""Of lines, by their anchors."""


def levels_picture(rows: Sequence[Mapping[str, float | str]], path: Path) -> None:
    """The figures of all levels over the number of keyframes, a line per mask policy and kind of anchor, as a PNG."""
    figure, panels = plt.subplots(1, len(LEVEL_FIGURES), figsize=(3.3 * len(LEVEL_FIGURES), 3.2))
    table = pd.DataFrame(rows)
    policies = list(table["policy"].unique())
    lines = table.groupby(["policy", "anchors"], sort=False)
    counts = table["keyframes"].unique()
    for panel, name in zip(panels, LEVEL_FIGURES, strict=True):
        for (policy, anchors), line in lines:
            style = {"color": f"C{policies.index(policy)}", "ls": STYLES[anchors], "label": f"{policy}, {anchors}"}
            panel.plot(line["keyframes"], line[name], marker="o", ms=3, **style)
        panel.set(title=name, yscale="log")
        log_axis(panel, "keyframes", counts)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=7)
    figure.tight_layout()
    save_picture(figure, path)


def indices_picture(rows: Sequence[Mapping[str, float | str]], path: Path) -> None:
    """Those shares over frames, a panel per layout, as a PNG; both ends, which are always chosen, are left out."""
    layouts = pd.DataFrame(rows).set_index("frame").groupby("layout", sort=False)
    figure, panels = plt.subplots(len(layouts), 1, figsize=(8, 2.1 * len(layouts)), squeeze=False, sharex=True)
    for panel, (layout, shares) in zip(panels[:, 0], layouts, strict=True):
        for name, inner in shares.drop(columns="layout").iloc[1:-1].items():
            panel.plot(inner, drawstyle="steps-mid", label=name)
        panel.set(ylabel=f"{layout}: share")
        panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8)
    panels[-1, 0].set(xlabel="frame")
    figure.tight_layout()
    save_picture(figure, path)
