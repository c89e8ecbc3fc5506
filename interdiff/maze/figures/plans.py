"""Plans in a maze of one's own, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from interdiff.maze.world.layouts import parse_layout
from interdiff.plotting import save_picture


def draw_plans(maze: str | np.ndarray, positions_ntc: np.ndarray, keyframes_nkc: np.ndarray, path: Path) -> None:
    """The maze, plans [N, T, 2] in cells with their keyframes [N, K, 2], start and goal; rows run down."""
    walls = parse_layout("yours", maze, connected=False).walls if isinstance(maze, str) else np.asarray(maze) != 0
    rows, columns = walls.shape
    figure, panel = plt.subplots(figsize=(0.5 * columns + 0.5, 0.5 * rows + 0.5))
    panel.imshow(walls, cmap="Greys", vmin=0, vmax=2.2)
    for positions, keyframes in zip(positions_ntc, keyframes_nkc, strict=True):
        panel.plot(positions[:, 1], positions[:, 0], color="tab:blue", lw=1.6)
        panel.scatter(keyframes[:, 1], keyframes[:, 0], s=16, color="tab:orange", zorder=3)
    for place, marker, colour in ((positions_ntc[0, 0], "o", "tab:green"), (positions_ntc[0, -1], "*", "tab:red")):
        panel.scatter(place[1], place[0], marker=marker, s=90, color=colour, zorder=4)
    panel.set(xticks=range(columns), yticks=range(rows))
    panel.tick_params(labelsize=7, length=0)
    figure.tight_layout()
    save_picture(figure, path)
