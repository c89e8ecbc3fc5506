"""The picture of budget.csv."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt
from pandas import DataFrame

from interdiff.plotting import log_axis, save_picture

FIGURES = {"mse": "squared distance, squared cells", "crossed": "share of plans through walls", "score": "D4RL score"}


def budget_picture(budget: DataFrame, path: Path) -> None:
    """Quality against nfe (log axis), a row of panels per figure and a column per layout, as a PNG.

    Args:
        budget: budget.csv; rows of one policy are joined, those without keyframes are points.
    """
    layouts = list(budget["layout"].unique())
    figure, panels = plt.subplots(len(FIGURES), len(layouts), figsize=(3.6 * len(layouts), 7.5), squeeze=False)
    for row, (key, label) in zip(panels, FIGURES.items(), strict=True):
        for panel, layout in zip(row, layouts, strict=True):
            for n, (policy, own) in enumerate(budget[budget["layout"] == layout].groupby("policy", sort=False)):
                known = own.dropna(subset=[key]).sort_values("nfe")
                style = "o-" if len(known) > 1 else "*"
                panel.errorbar(
                    known["nfe"], known[key], known[f"{key}_se"], fmt=style, ms=4, lw=1, color=f"C{n}", label=policy
                )
            panel.set(ylabel=label, title=layout)
            log_axis(panel, "nfe")
            panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=7)
    figure.tight_layout()
    save_picture(figure, path)
