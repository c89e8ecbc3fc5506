"""Cost and quality against the length of clips, of several milestones: python -m interdiff.video.figures.lengths --help."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from interdiff.errors import InputError, command
from interdiff.plotting import log_axis, save_picture
from interdiff.tables import read_tables
from interdiff.video.figures.samples import PANELS

if TYPE_CHECKING:
    from pandas import DataFrame

COST = {"full_step_units": "cost, full steps of that length"}


def against_length(milestones: DataFrame, path: Path) -> None:
    """A panel for cost and for each quality, a line over T for each method that has more than one, as a PNG.

    milestones: rows of milestone.csv for clips of different T, `frames`.

    Raises:
        InputError: no method is there at two lengths.
    """
    lengths = milestones.groupby("method", sort=False)["frames"].nunique()
    methods = lengths[lengths > 1].index
    if methods.empty:
        raise InputError("milestones: no method has two lengths of clips; expected tables of different T")
    measured = COST | {name: label for name, label in PANELS.items() if milestones[name].notna().any()}
    plot, panels = plt.subplots(1, len(measured), figsize=(3.4 * len(measured), 3.6))
    for panel, (name, label) in zip(panels, measured.items(), strict=True):
        for number, method in enumerate(methods):
            rows = milestones[milestones["method"] == method].sort_values("frames", kind="stable")
            error = None if name in COST else rows[f"{name}_se"]
            panel.errorbar(
                rows["frames"], rows[name], error, marker="o", ms=4, capsize=2, color=f"C{number % 10}", label=method
            )
        panel.set(title=label)
        log_axis(panel, "latent frames, T", sorted(milestones["frames"].unique()))
        panel.grid(alpha=0.3)
    panels[0].set_yscale("log")
    plot.tight_layout(rect=(0, 0.12, 1, 1))
    plot.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=6, fontsize=8)
    save_picture(plot, path)


@command
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.video.figures.lengths", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png", help="file to write")
    parser.add_argument("milestones", type=Path, nargs="+", metavar="milestone.csv", help="tables of different T")
    given = parser.parse_args()
    against_length(read_tables(given.milestones), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
