"""Pictures of plans: map, ground truth, keyframes, interpolated and refined paths, start and goal.

Draws any sample again by its number: python -m interdiff.maze.figures.gallery results/maze/samples/base/samples.npz 17 17.png
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.maze.world.random_layouts import family
from interdiff.plotting import save_picture

PATHS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("truth", "ground truth", {"color": "0.45", "lw": 1.2, "ls": "--"}),
    ("interp", "keyframes, interpolated", {"color": "tab:orange", "lw": 1.0}),
    ("refined", "refined", {"color": "tab:blue", "lw": 1.6}),
)

ARRAYS = (*(name for name, _, _ in PATHS), "keyframes", "start", "goal", "occupancy", "layout")
"""Of samples.npz, what is drawn."""


def draw_plan(panel: Axes, samples: Mapping[str, np.ndarray], number: int) -> None:
    """One sample of samples.npz on one panel, in grid coordinates; x is the map's row and runs down."""
    if not 0 <= number < len(samples["truth"]):
        raise InputError(f"sample {number}: expected a number from 0 to {len(samples['truth']) - 1}")
    occupancy = samples["occupancy"][number]
    cells = len(occupancy)
    panel.imshow(occupancy, cmap="Greys", vmin=0, vmax=2.2, extent=(0, cells, cells, 0))
    for name, label, style in PATHS:
        x, y = (samples[name][number, :, :2] * cells).T
        panel.plot(y, x, label=label, **style)
    x, y = (samples["keyframes"][number, :, :2] * cells).T
    panel.scatter(y, x, s=14, color="tab:orange", zorder=3)
    for name, marker, colour in (("start", "o", "tab:green"), ("goal", "*", "tab:red")):
        x, y = samples[name][number, :2] * cells
        panel.scatter(y, x, marker=marker, s=70, color=colour, label=name, zorder=4)
    free = np.argwhere(occupancy == 0)
    (top, left), (bottom, right) = free.min(0) - 1, free.max(0) + 2
    panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    panel.set_title(f"{samples['layout'][number]} #{number}", fontsize=8)


def plans_of(layouts: np.ndarray, name: str) -> list[int]:
    """The samples of a layout; of a family of mazes, which are called `name-0`, `name-1` and so on, the first of each."""
    own = np.flatnonzero(layouts == name)
    if not len(own):
        all_mazes = np.flatnonzero([family(layout) == name for layout in layouts])
        own = all_mazes[np.sort(np.unique(layouts[all_mazes], return_index=True)[1])]
    return own.tolist()


def gallery(samples: Mapping[str, np.ndarray], numbers: Sequence[int], path: Path) -> None:
    """The given samples side by side, as a PNG; without any, it says so."""
    if not numbers:
        figure = plt.figure(figsize=(3.3, 1))
        figure.text(0.5, 0.5, "no held-out plans", ha="center", va="center")
        save_picture(figure, path)
        return
    columns = min(3, len(numbers))
    rows = -(-len(numbers) // columns)
    size = (3.3 * columns, 3.5 * rows + 0.3)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in panels.flat[len(numbers) :]:
        panel.axis("off")
    for panel, number in zip(panels.flat, numbers, strict=False):
        draw_plan(panel, samples, int(number))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * columns, frameon=False, fontsize=8)
    save_picture(figure, path)


if __name__ == "__main__":
    try:
        source, number, target = sys.argv[1:]
        gallery(load_arrays(Path(source), ARRAYS), [int(number)], Path(target))
    except ValueError as error:
        sys.exit(f"error: {error}\nusage: python -m interdiff.maze.figures.gallery SAMPLES.npz NUMBER PICTURE.png")
