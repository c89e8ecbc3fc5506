"""Pictures in files, and figures of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from interdiff.errors import InputError
from interdiff.files import atomic_path

if TYPE_CHECKING:
    from pandas import DataFrame


LOSSES = {"loss": "training", "val_loss": "validation"}
"""Columns of a history, and what their curves are called."""


def save_picture(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG, atomically, and close it; titles of panels do not touch."""
    fit_titles(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def fit_titles(figure: Figure) -> None:
    """Shrink titles that are wider than their panel, so that neighbours do not touch."""
    for panel in figure.axes:
        width = panel.title.get_window_extent().width
        if width > (room := panel.get_window_extent().width):
            panel.title.set_fontsize(float(panel.title.get_fontsize()) * room / width)


def log_axis(panel: Axes, label: str, ticks: Sequence[float] | None = None) -> None:
    """Make a panel's x axis logarithmic, with plain numbers at `ticks`, or at 1, 2 and 5 of each decade."""
    panel.set(xscale="log", xlabel=label)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if ticks is None else FixedLocator(ticks))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter("{x:g}")


def training_curves(histories: Mapping[str, DataFrame], path: str | Path) -> None:
    """Draw each network's loss over its steps, one panel per network, as a PNG; where it was, also on held-out data.

    Args:
        histories: `history.csv` (columns step and loss, perhaps val_loss) by network name.

    Raises:
        InputError: a history has no rows, or a column is missing (names the network).
    """
    figure, panels = plt.subplots(1, len(histories), figsize=(3.2 * len(histories), 2.6), squeeze=False)
    for panel, (name, history) in zip(panels[0], histories.items(), strict=True):
        if history.empty or not {"step", "loss"} <= set(history.columns):
            raise InputError(f"history of {name}: expected rows with the columns step and loss")
        drawn = [column for column in LOSSES if column in history]
        for column in drawn:
            panel.plot(history["step"], history[column], lw=1, label=LOSSES[column])
        panel.set(title=name, xlabel="step", ylabel="loss")
        if len(drawn) > 1:
            panel.legend(fontsize=7, frameon=False)
        if (history[drawn] > 0).all(axis=None):
            panel.set_yscale("log")
        panel.grid(alpha=0.3)
    figure.tight_layout()
    save_picture(figure, path)
