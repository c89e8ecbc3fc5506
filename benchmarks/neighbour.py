"""Training on two cores, alone and beside a busy process, by how long threads spin at barriers: python -m benchmarks.neighbour.

    python -m benchmarks.neighbour [--rounds 9] [--seconds 3] [SPINS ...]

Steps of phase 1 at its size in config.yaml, with two threads: as OpenMP does by itself, as our stages do, and with other
counts of spins. Rounds alternate, and figures are medians over them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from stages import waiting

SETTINGS = {"OpenMP's own": None, "ours": waiting.SPINS}
K, FRAMES, BATCH, THREADS = 8, 128, 192, 2
STEP = "--step"
"""As the only word: be the training."""


def main() -> None:
    """Prints steps per second alone and beside, and how many times slower that is, for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spins", nargs="*", metavar="SPINS", help="further counts to try")
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: 3)")
    options = parser.parse_args()
    settings = SETTINGS | {f"{count} spins": count for count in options.spins}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    rates: dict[tuple[str, bool], list[float]] = {(name, beside): [] for name in settings for beside in (False, True)}
    trainings = {name: Training(spins) for name, spins in settings.items()}
    for one in trainings.values():
        one.rate(0)
    for _ in range(options.rounds):
        for name, beside in rates:
            with neighbour(beside):
                rates[name, beside].append(trainings[name].rate(options.seconds))
    for one in trainings.values():
        one.end()
    whole = median(rates["OpenMP's own", False])
    for name in settings:
        alone, with_it = (median(rates[name, busy]) for busy in (False, True))
        print(
            f"{name:14s} {alone:6.2f} steps/s alone ({alone / whole:4.0%}), {with_it:6.2f} beside: {alone / with_it:.1f} times"
        )


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """A process that keeps one core busy meanwhile, if it is to be."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


class Training:
    """A training in a process of its own, for OpenMP reads its variables once; it waits between measurements."""

    def __init__(self, spins: str | None) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in waiting.USERS}
        environment |= {waiting.VARIABLE: spins} if spins else {}
        command = [sys.executable, "-m", "benchmarks.neighbour", STEP]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rate(self, seconds: float) -> float:
        """Steps per second over so many seconds."""
        assert self.process.stdin
        assert self.process.stdout
        print(seconds, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def end(self) -> None:
        """Let the process end."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def training() -> None:
    """Steps of phase 1's training, on noise: for each line of seconds, a line of steps per second."""
    import numpy as np
    import torch

    from interdiff.maze.planner.conditions import condition_of
    from interdiff.maze.planner.keyframes import KeyframeDenoiser
    from interdiff.maze.world.layouts import load_layout
    from interdiff.maze.world.tasks import episodes

    torch.set_num_threads(THREADS)
    network = KeyframeDenoiser(FRAMES, d_model=128, depth=4, heads=4)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    layout = load_layout("large")
    cases = episodes(layout, "multi", BATCH, 0)
    condition = condition_of(layout, cases.states, cases.goals, max(layout.walls.shape), 8, torch.device("cpu"))
    indices = torch.as_tensor(np.linspace(0, FRAMES - 1, K).round()).long().expand(BATCH, -1)
    known, noise = torch.zeros(BATCH, K, 4, dtype=torch.bool), torch.ones(BATCH, K, 4)

    def step() -> None:
        loss = network(noise, noise[:, 0, 0], indices, noise[:, 1:, 0], known, condition).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
    for line in sys.stdin:
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < float(line):
            step()
            count += 1
        print(count / (time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == [STEP]:
        training()
    else:
        main()
