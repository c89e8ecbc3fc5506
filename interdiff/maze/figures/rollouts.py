"""Pictures of planners in the simulator: what they drove, what they cost, and one plan from keyframes to the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from interdiff.files import atomic_path
from interdiff.maze.world.layouts import OFFSET, load_layout
from interdiff.maze.world.simulator import TIMESTEP
from interdiff.plotting import save_picture

if TYPE_CHECKING:
    from pandas import DataFrame

FRAME_STEPS = 8
"""Simulated steps between two frames of the animation."""
LEGEND_COLUMNS = 5
MARKERS = "osD^v<>"
HOLD = 12
"""Frames for which each stage of the plan stays on the screen."""


def draw_map(panel: Axes, ascii_map: str) -> None:
    """Walls in joint coordinates; x is the map's row and runs down."""
    rows, cols = (walls := load_layout(ascii_map).walls).shape
    extent = (-OFFSET, cols - OFFSET, rows - OFFSET, -OFFSET)
    panel.imshow(walls, cmap="Greys", vmin=0, vmax=2.2, extent=extent)
    panel.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])


def driven_picture(driven: Sequence[Mapping[str, np.ndarray]], path: Path) -> None:
    """The first episodes on each map (rows) as each planner drove them (columns), as a PNG.

    Args:
        driven: arrays of the stage `drive` by map, of the same planners [P]: goals [E, 2], positions [P, E, steps, 2] in
            joint coordinates.
    """
    planners = driven[0]["planners"]
    size = (2.2 * len(planners), 2.3 * len(driven))
    figure, panels = plt.subplots(len(driven), len(planners), figsize=size, squeeze=False)
    for row, cell in enumerate(driven):
        for column, name in enumerate(planners):
            panel = panels[row, column]
            draw_map(panel, str(cell["map"]))
            for n, (positions, goal) in enumerate(zip(cell["positions"][column], cell["goals"], strict=True)):
                x, y = positions.T
                panel.plot(y, x, lw=1.2, color=f"C{n}")
                panel.scatter(y[0], x[0], s=14, color=f"C{n}", zorder=3)
                panel.scatter(goal[1], goal[0], marker="*", s=50, color=f"C{n}", edgecolor="k", lw=0.4, zorder=4)
            if not row:
                panel.set_title(name, fontsize=9)
    figure.tight_layout()
    save_picture(figure, path)


def compute_picture(rollouts: DataFrame, path: Path) -> None:
    """D4RL score against token evaluations per plan (log axis), a panel per task, means over its layouts, as a PNG.

    Args:
        rollouts: rollouts.csv; planners without a plan are horizontal lines.
    """
    shown = rollouts[~rollouts["planner"].str.contains("/")]
    tasks, names = (list(shown[key].unique()) for key in ("task", "planner"))
    below = 0.2 * -(-len(names) // LEGEND_COLUMNS) + 0.1
    size = (4.2 * len(tasks), 3.3 + below)
    figure, panels = plt.subplots(1, len(tasks), figsize=size, squeeze=False, sharex=True)
    for panel, task in zip(panels[0], tasks, strict=True):
        for n, name in enumerate(names):
            color = plt.get_cmap("tab20")(n % 20)
            own = shown[(shown["planner"] == name) & (shown["task"] == task)]
            mean, spread = own["score"].mean(), np.sqrt(own["score_se"].pow(2).sum()) / max(1, own["score"].count())
            if own["token_evals"].any():
                panel.errorbar(
                    own["token_evals"].mean(),
                    mean,
                    spread,
                    fmt=MARKERS[n % len(MARKERS)],
                    color=color,
                    mfc="none",
                    label=name,
                )
            else:
                panel.axhline(mean, ls="--", lw=1, color=color, label=name)
        panel.set(xscale="log", xlabel="token evaluations per plan", ylabel="D4RL score", title=task)
        panel.grid(alpha=0.3)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, below / size[1], 1, 1))
    save_picture(figure, path)


def animation(plan: Mapping[str, np.ndarray], path: Path) -> None:
    """One plan being made and driven, as a GIF.

    Args:
        plan: arrays of the stage `drive`, in joint coordinates: map, goals [E, 2] of which the first is the plan's,
            keyframes [K, 2], interpolated [T, 2], refined [T, 2], driven [steps, 2].
    """
    figure, panel = plt.subplots(figsize=(4.2, 3.6))
    draw_map(panel, str(plan["map"]))
    x, y = plan["goals"][0]
    panel.scatter(y, x, marker="*", s=120, color="tab:red", zorder=4)
    (interpolated,) = panel.plot([], [], color="tab:orange", lw=1.2)
    (refined,) = panel.plot([], [], color="tab:blue", lw=1.6)
    (trail,) = panel.plot([], [], color="tab:green", lw=2.2)
    x, y = plan["keyframes"].T
    keyframes = panel.scatter(y, x, s=18, color="tab:orange", zorder=3)
    ball = panel.scatter([], [], s=60, color="tab:green", zorder=5)
    title = panel.set_title(" ", fontsize=10)
    figure.tight_layout()
    texts = (f"phase 1: {len(plan['keyframes'])} keyframes", "interpolated", "phase 2: refined")

    def draw(frame: int) -> list[Artist]:
        stage = min(frame // HOLD, len(texts))
        for line, name, first in ((interpolated, "interpolated", 1), (refined, "refined", 2)):
            line.set_data(*(plan[name].T[::-1] if stage >= first else ([], [])))
        keyframes.set_alpha(1.0 if stage < len(texts) else 0.3)
        title.set_text(texts[min(stage, len(texts) - 1)])
        if stage == len(texts):
            steps = min((frame - HOLD * len(texts) + 1) * FRAME_STEPS, len(plan["driven"]))
            trail.set_data(*plan["driven"][:steps].T[::-1])
            ball.set_offsets(plan["driven"][steps - 1, ::-1])
            title.set_text(f"driven: {steps * TIMESTEP:.2f} s")
        return []

    frames = HOLD * len(texts) + -(-len(plan["driven"]) // FRAME_STEPS) + HOLD
    with atomic_path(path) as temporary:
        FuncAnimation(figure, draw, frames=frames).save(temporary, writer=PillowWriter(fps=15), dpi=90)
    plt.close(figure)
