"""Where plans go wrong: what phase 2 meets and does at each level, which frames are chosen, and the worst plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.refiner import OwnRefiner, Refiner
from interdiff.maze.world.collisions import crossed, piece_collisions
from interdiff.two_phase.corruption import degrade
from interdiff.two_phase.interpolation import filling

LEVEL_FIGURES = ("max_gap", "correction", "mse_interp", "mse_refined")
FAR = 0.5
"""Error of a keyframe, in cells, from which a plan counts as taking another way than the demonstration."""


@torch.no_grad()
def level_figures(
    refiner: Refiner | OwnRefiner,
    data: Prepared,
    rows: Sequence[Tensor],
    ranks: Tensor,
    levels: Sequence[int],
    anchored: Tensor,
    exact: bool,
    generator: torch.Generator,
) -> Iterator[dict[str, float]]:
    """What one pass of the refiner does at each level of nested masks, a row per level, means over sequences.

    keyframes; mean_gap and max_gap (frames between neighbouring anchors, of each sequence); correction (root mean square
    move of a point, cells), out_of_bounds (share of refined points in a wall or off the map), mse_interp and mse_refined
    (squared cells, to the demonstration).

    Args:
        rows: chunks of one layout each.
        ranks: [N, T] of the masks.
        anchored: [N, T, 4], the sequence that the anchors are taken from, `exact` if it is the demonstration.
    """
    cells = data.cells
    for level, count in enumerate(levels):
        degraded, refined, free = [], [], []
        for chunk in rows:
            mask = ranks[chunk] <= level
            x, _ = degrade(anchored[chunk], mask, filling(refiner.interpolation), refiner.noise, generator)
            flags = torch.full((len(chunk),), exact, device=data.device)
            condition = data.condition(chunk)
            degraded.append(x)
            refined.append(refiner(x, mask, flags, condition))
            free.append(_in_free_cell(refined[-1][..., :2], condition.occupancy[0]))
        truth = data.states[torch.cat(list(rows))][..., :2]
        before, after = (torch.cat(parts)[..., :2] for parts in (degraded, refined))
        gaps = _gaps(ranks[torch.cat(list(rows))].numpy(force=True) <= level)
        yield {
            "keyframes": count,
            "mean_gap": float(np.mean([gap.mean() for gap in gaps])),
            "max_gap": float(np.mean([gap.max() for gap in gaps])),
            "correction": float(((after - before) * cells).square().sum(-1).mean().sqrt()),
            "out_of_bounds": float(1 - torch.cat(free).float().mean()),
            "mse_interp": float(((before - truth) * cells).square().sum(-1).mean()),
            "mse_refined": float(((after - truth) * cells).square().sum(-1).mean()),
        }


def _in_free_cell(points: Tensor, occupancy: Tensor) -> Tensor:
    """Whether points [B, T, 2] are on the map's free cells [G, G]: bool [B, T]."""
    cell = (points * len(occupancy)).floor().long()
    inside = ((cell >= 0) & (cell < len(occupancy))).all(-1)
    at = cell.clamp(0, len(occupancy) - 1)
    return inside & (occupancy[at[..., 0], at[..., 1]] == 0)


def _gaps(masks: np.ndarray) -> list[np.ndarray]:
    return [np.diff(np.flatnonzero(mask)) for mask in masks]


def index_counts(chosen: Mapping[str, np.ndarray], layouts: Sequence[str], frames: int) -> list[dict[str, float | str]]:
    """How often each frame is a keyframe, by layout: rows of layout, frame and a share per way of choosing.

    Args:
        chosen: indices [N, K] by the name of the way.
        layouts: [N] names.
    """
    rows: list[dict[str, float | str]] = []
    for layout in dict.fromkeys(layouts):
        own = np.array(layouts) == layout
        shares = {
            name: np.bincount(indices[own].ravel(), minlength=frames) / own.sum() for name, indices in chosen.items()
        }
        for t in range(frames):
            rows.append({"layout": layout, "frame": t, **{name: float(share[t]) for name, share in shares.items()}})
    return rows


def failures(samples: Mapping[str, np.ndarray], count: int) -> list[dict[str, float | str]]:
    """The worst plans of samples.npz, and why each is bad: first those through walls, then those farthest off.

    Rows: number (in samples.npz), layout, seed, pieces (refined ones that leave free space), mse (squared cells), reason.
    """
    cells, occupancy = samples["occupancy"].shape[-1], samples["occupancy"]
    pieces = piece_collisions(samples["refined"][..., :2], occupancy).sum(axis=1)
    before = crossed(samples["interp"][..., :2], occupancy)
    oracle = crossed(samples["oracle_refined"][..., :2], occupancy)
    mse = np.square((samples["refined"] - samples["truth"])[..., :2] * cells).sum(-1).mean(-1)
    at = np.take_along_axis(samples["truth"], samples["indices"][..., None].astype(int), axis=1)
    errors = np.linalg.norm((samples["keyframes"] - at)[..., :2] * cells, axis=-1)
    rows: list[dict[str, float | str]] = []
    for number in np.lexsort((-mse, -pieces))[:count]:
        worst = int(errors[number].argmax())
        rows.append(
            {
                "number": int(number),
                "layout": str(samples["layout"][number]),
                "seed": int(samples["seed"][number]),
                "pieces": int(pieces[number]),
                "mse": float(mse[number]),
                "reason": _reason(
                    bool(pieces[number]), bool(before[number]), bool(oracle[number]), worst, errors[number, worst]
                ),
            }
        )
    return rows


def _reason(through: bool, before: bool, oracle: bool, keyframe: int, error: float) -> str:
    far = f"keyframe {keyframe} is {error:.1f} cells off"
    if not through:
        return f"another way: {far}" if error > FAR else f"stays near its keyframes, {far}"
    origin = "the interpolation's, left by phase 2" if before else "phase 2's own"
    blame = "also from exact keyframes" if oracle else f"not from exact keyframes; {far}"
    return f"through a wall ({origin}), {blame}"
