"""Rows of demonstrations per second on one core, per layout: python -m benchmarks.demonstrations [rows]."""

import sys
import time

from interdiff.maze.world.controller import generate
from interdiff.maze.world.layouts import MAPS, load_layout


def main() -> None:
    """Times `generate` for every map of D4RL."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    for name in MAPS:
        start = time.perf_counter()
        generate(load_layout(name), rows, seed=0)
        print(f"{name:12s} {rows / (time.perf_counter() - start):10,.0f} rows/s", flush=True)


if __name__ == "__main__":
    main()
