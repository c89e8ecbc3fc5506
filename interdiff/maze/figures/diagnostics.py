"""Pictures of what phase 2 meets at each level, and of which frames are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from interdiff.maze.evaluation.diagnostics import LEVEL_FIGURES
from interdiff.plotting import save_picture


def levels_picture(rows: Sequence[Mapping[str, float | str]], path: Path) -> None:
    """The figures of all levels over the number of keyframes, a line per mask policy and kind of anchor, as a PNG."""
    figure, panels = plt.subplots(1, len(LEVEL_FIGURES), figsize=(3.3 * len(LEVEL_FIGURES), 3.2))
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    counts = list(dict.fromkeys(float(row["keyframes"]) for row in rows))
    for panel, name in zip(panels, LEVEL_FIGURES, strict=True):
        for number, policy in enumerate(policies):
            for anchors, style in (("exact", "--"), ("phase 1", "-")):
                line = [row for row in rows if (row["policy"], row["anchors"]) == (policy, anchors)]
                x, y = ([row[key] for row in line] for key in ("keyframes", name))
                panel.plot(x, y, style, marker="o", ms=3, color=f"C{number}", label=f"{policy}, {anchors}")
        panel.set(title=name, xlabel="keyframes", xscale="log", yscale="log")
        panel.set_xticks(counts, [f"{count:.0f}" for count in counts], minor=False)
        panel.set_xticks([], minor=True)
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=7)
    figure.tight_layout()
    save_picture(figure, path)


def indices_picture(rows: Sequence[Mapping[str, float | str]], path: Path) -> None:
    """Those shares over frames, a panel per layout, as a PNG; both ends, which are always chosen, are left out."""
    layouts = list(dict.fromkeys(row["layout"] for row in rows))
    figure, panels = plt.subplots(len(layouts), 1, figsize=(8, 2.1 * len(layouts)), squeeze=False, sharex=True)
    for panel, layout in zip(panels[:, 0], layouts, strict=True):
        own = [row for row in rows if row["layout"] == layout][1:-1]
        for name in list(own[0])[2:]:
            panel.plot([row["frame"] for row in own], [row[name] for row in own], drawstyle="steps-mid", label=name)
        panel.set(ylabel=f"{layout}: share")
        panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8)
    panels[-1, 0].set(xlabel="frame")
    figure.tight_layout()
    save_picture(figure, path)
