"""The figures of metrics.csv: what interpolation and refinement make of held-out plans."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interdiff.keyframes.budget import counts_of, groups
from interdiff.keyframes.dynamic_programming import path_cost
from interdiff.keyframes.segment_cost import Interpolation, all_segment_costs
from interdiff.maze.world.collisions import piece_collisions

KINDS = ("interp", "refined", "oracle_interp", "oracle_refined")
# With fewer plans than this that an interpolation spoils, a share of them says nothing.
FEWEST_SPOILED = 20


def plan_metrics(positions: dict[str, np.ndarray], truth: np.ndarray, occupancy: np.ndarray) -> dict[str, float]:
    """Metrics of N plans.

    Args:
        positions: for each of KINDS the plans [N, T, 2], normalised; "oracle" is with ground-truth anchors.
        truth: [N, T, 2].
        occupancy: [N, G, G].

    Returns:
        collision_KIND: share of the T - 1 pieces that leave free space; crossed_KIND (without oracle): share of plans
        with any such piece; mse_KIND: mean squared distance to the truth in squared cells; fixed: of the plans that
        collide after interpolation, the share that is free of it after refinement (nan under 20 such plans); broken: share
        of all plans in which a piece collides after refinement that did not before.
    """
    hits = {kind: piece_collisions(positions[kind], occupancy) for kind in KINDS}
    before, after = (hits[kind].sum(axis=1) for kind in ("interp", "refined"))
    spoiled = before > 0
    metrics = {f"collision_{kind}": float(hits[kind].mean()) for kind in KINDS}
    metrics |= {f"crossed_{kind}": float(hits[kind].any(1).mean()) for kind in ("interp", "refined")}
    cells = occupancy.shape[-1]
    for kind in KINDS:
        metrics[f"mse_{kind}"] = float(np.square((positions[kind] - truth) * cells).sum(-1).mean())
    enough = spoiled.sum() >= FEWEST_SPOILED
    metrics["fixed"] = float((after == 0)[spoiled].mean()) if enough else float("nan")
    metrics["broken"] = float((hits["refined"] & ~hits["interp"]).any(1).mean())
    return metrics


def cost_ratio(
    truth: np.ndarray, cells: int, indices: np.ndarray, optimal: Mapping[int, np.ndarray], interpolation: Interpolation
) -> float:
    """Summed exact cost of keyframes [N, K] over that of the optima of as many under the same bound on gaps.

    Args:
        indices: of fewer keyframes than K, with the last one repeated.
        optimal: K -> cost [N].
    """
    costs = all_segment_costs(truth * cells, interpolation)
    costs[:, -1, -1] = 0  # a repeated last keyframe costs nothing
    best = sum(float(optimal[k][rows].sum()) for k, rows in groups(counts_of(indices)))
    return float(path_cost(costs, indices).sum() / best)
