"""Keyframes of the exact costs of straight lines and of cubic splines, each filled by both: python -m benchmarks.fills."""

from __future__ import annotations

import numpy as np

from interdiff.keyframes.dynamic_programming import optimal_indices, path_cost, uniform_indices
from interdiff.keyframes.segment_cost import Interpolation, all_segment_costs
from interdiff.maze.evaluation.refinement_limit import resampled
from interdiff.maze.world.controller import resimulate
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.tasks import episodes

LAYOUT, SEQUENCES, FRAMES = "large", 60, 128
COUNTS, MAX_GAP_FACTOR = (4, 8, 16), 2.5
FILLS: tuple[Interpolation, ...] = ("linear", "hermite")


def main() -> None:
    """A line for each number of keyframes and each fill: mean squared errors in squared cells, by who chose."""
    layout, rng = load_layout(LAYOUT), np.random.default_rng(0)
    cases = episodes(layout, "multi", SEQUENCES, 0)
    ends = zip(cases.states, cases.goals.tolist(), strict=True)
    x = resampled([resimulate(layout, state, (row, column), rng, 1, 0.0)[0] for state, (row, column) in ends], FRAMES)
    x = x[..., :2]
    costs = {fill: all_segment_costs(x, fill) for fill in FILLS}
    print(
        f"{'K':>3} {'filled by':>10}"
        + "".join(f"{name:>18}" for name in ("linear's best", "hermite's best", "uniform"))
    )
    for k in COUNTS:
        chosen = [optimal_indices(costs[fill], k, MAX_GAP_FACTOR)[0] for fill in FILLS]
        chosen.append(np.tile(uniform_indices(FRAMES, k), (len(x), 1)))
        for fill in FILLS:
            errors = [path_cost(costs[fill], indices).mean() / FRAMES for indices in chosen]
            print(f"{k:>3} {fill:>10}" + "".join(f"{error:>18.5f}" for error in errors))


if __name__ == "__main__":
    main()
