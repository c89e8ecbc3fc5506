"""The method on one maze plan, stage by stage, with the cost of each: python docs/figures/method.py [planner's folder]

K keyframes of T frames; positions in grid coordinates (row, column), whole numbers where cells meet.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from interdiff.maze.plan import PRETRAINED, load_planner
from interdiff.maze.planner.networks import from_network
from interdiff.maze.planner.timed_planner import TwoPhasePlanner
from interdiff.maze.world.layouts import OFFSET, Layout, load_layout

PICTURE = Path(__file__).parents[1] / "method.png"
MAZE, START, GOAL, SEED = "large", (7, 1), (1, 10), 0
KEYFRAMES, REFINED, FAINT = "tab:orange", "tab:blue", "0.6"


@dataclass(frozen=True)
class Trace:
    """One plan on its way: noise and keyframes [K, 2] at frames [K] of T, interpolated and refined [T, 2].

    costs: two lines under each of the four, what made it and with how many tokens and passes.
    """

    walls: np.ndarray
    frames: np.ndarray
    noise: np.ndarray
    keyframes: np.ndarray
    interpolated: np.ndarray
    refined: np.ndarray
    costs: tuple[tuple[str, str], ...]


def trace(planner: TwoPhasePlanner) -> Trace:
    """One plan of one candidate, in the middle of the planner's grid; its noise is what phase 1's network sees first."""
    walls, cells = load_layout(MAZE).walls, planner.prepared.cells
    margin = [((cells - side) // 2, (cells - side + 1) // 2) for side in walls.shape]
    corner = np.array([before for before, _ in margin])
    layout = Layout(MAZE, np.pad(walls, margin, constant_values=True), None)
    start, goal = (np.array([cell]) + corner + 0.5 - OFFSET for cell in (START, GOAL))
    one = replace(planner, settings=planner.settings.model_copy(update={"candidates": 1}))
    calls: list[tuple] = []
    hook = planner.planner.phase1.keyframes.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    (plan,) = one.traced(layout, np.pad(start, ((0, 0), (0, 2))), goal, torch.Generator().manual_seed(SEED))
    hook.remove()
    noise, _, frames, *_ = calls[0]
    return Trace(
        walls,
        frames[0].numpy(),
        from_network(noise)[0, :, :2].numpy() * cells - corner,
        plan.keyframes + OFFSET - corner,
        plan.interpolated + OFFSET - corner,
        plan.refined + OFFSET - corner,
        costs(one, layout, len(calls)),
    )


def costs(planner: TwoPhasePlanner, layout: Layout, steps: int) -> tuple[tuple[str, str], ...]:
    """What made each stage, with the tokens and the passes of its networks."""
    networks, frames = planner.planner, planner.prepared.frames
    levels, k = len(networks.levels()), networks.settings.k
    coarse = frames // networks.phase1.segment_cost.size["frames_per_token"]
    fine = frames // networks.refiner.frames_per_token
    return (
        (f"D_phi, selector: {k} of {frames} frames", f"{coarse} tokens × {1 + levels} passes"),
        ("phase 1: diffusion", f"{k} tokens × {steps} steps"),
        ("linear interpolation", f"{k} to {frames} points, free"),
        ("phase 2: refiner", f"{fine} tokens × {levels} passes"),
    )


def draw_map(panel: Axes, plan: Trace) -> None:
    rows, columns = plan.walls.shape
    panel.imshow(plan.walls, cmap="Greys", vmin=0, vmax=2.2, extent=(0, columns, rows, 0))
    for place, marker, colour in ((START, "o", "tab:green"), (GOAL, "*", "tab:red")):
        panel.scatter(place[1] + 0.5, place[0] + 0.5, marker=marker, s=55, color=colour, zorder=4, lw=0)
    panel.set(xticks=[], yticks=[], xlim=(0, columns), ylim=(rows, 0))


def draw_frames(panel: Axes, plan: Trace, between: str | None) -> None:
    """The T frames as a strip: which of them are keyframes, and who made the others."""
    last = len(plan.refined) - 1
    panel.axhspan(0.25, 0.75, color=between or "0.93", alpha=0.35 if between == KEYFRAMES else 1, lw=0)
    if between != REFINED:
        panel.vlines(plan.frames, 0, 1, color=KEYFRAMES, lw=2)
    panel.set(xlim=(-1, last + 1), ylim=(-0.1, 1.1))
    panel.axis("off")


def draw(plan: Trace, path: Path) -> None:
    """Four panels, 9 inches wide, as a PNG."""
    figure, panels = plt.subplots(2, 4, figsize=(9, 2.65), height_ratios=(12, 1))
    titles = ("noise", f"{len(plan.frames)} keyframes", "interpolated", "refined")
    betweens = (None, None, KEYFRAMES, REFINED)
    for (panel, strip), title, cost, between in zip(panels.T, titles, plan.costs, betweens, strict=True):
        draw_map(panel, plan)
        panel.set_title(title, fontsize=11)
        draw_frames(strip, plan, between)
        for line, text in enumerate(cost):
            strip.text(0.5, -1.1 - 1.1 * line, text, transform=strip.transAxes, ha="center", fontsize=8)
    dots = {"s": 22, "color": KEYFRAMES, "zorder": 3, "clip_on": False}
    noise, keyframes, interpolated, refined = panels[0]
    noise.plot(*plan.noise.T[::-1], color=KEYFRAMES, lw=0.8, ls=":", clip_on=False)
    noise.scatter(*plan.noise[1:-1].T[::-1], **dots)
    keyframes.scatter(*plan.keyframes[1:-1].T[::-1], **dots)
    interpolated.plot(*plan.interpolated.T[::-1], color=KEYFRAMES, lw=1.4)
    interpolated.scatter(*plan.keyframes[1:-1].T[::-1], **dots)
    refined.plot(*plan.interpolated.T[::-1], color=KEYFRAMES, lw=0.8, alpha=0.6)
    refined.plot(*plan.refined.T[::-1], color=REFINED, lw=1.8)
    figure.subplots_adjust(0.01, 0.165, 0.99, 0.91, wspace=0.09, hspace=0.06)
    for panel in panels[0, 1:]:
        panel.set_title("→", fontsize=13, loc="left", x=-0.085, color=FAINT)
    figure.savefig(path, dpi=200, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(trace(load_planner(sys.argv[1] if len(sys.argv) > 1 else PRETRAINED).two_phase), PICTURE)
