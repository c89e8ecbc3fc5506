"""What tracking costs a training stage: time inside its calls, and the writer's CPU time, as shares of the stage's.

    python -m benchmarks.tracking [SECONDS]

Trains a small network for SECONDS (default 180, about the shortest training of the default run) and logs a row every two
seconds, several times as often as a stage does, with a system sample every ten.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

from interdiff.workflow.tracking.connection import configure
from interdiff.workflow.tracking.tracker import Tracker

ROW = 2.0
METRICS = ("loss", "position", "velocity", "penetration", "steps_per_s", "samples_per_s", "peak_memory_mb")


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    network = torch.nn.Sequential(torch.nn.Linear(256, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 256))
    optimizer, batch = torch.optim.AdamW(network.parameters()), torch.randn(96, 256)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        configure(enabled=True, uri=None, experiment="benchmark", results=results)
        begun, blocked, step, due = time.perf_counter(), 0.0, 0, 0.0

        def timed(call, *arguments):
            nonlocal blocked
            start = time.perf_counter()
            value = call(*arguments)
            blocked += time.perf_counter() - start
            return value

        settings = {"training": {f"key{number}": number for number in range(30)}}
        start = (results, "maze/toy/base", "0" * 64, settings, results / "state/tracking.json")
        tracker = timed(Tracker.start, *start)
        rows = 0
        while (now := time.perf_counter() - begun) < seconds:
            loss = (network(batch) - batch).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if now > due:
                timed(tracker.log, {"step": step} | dict.fromkeys(METRICS, float(loss.detach())))
                rows, due = rows + 1, due + ROW
        timed(tracker.run_id)
        timed(tracker.finish)
        total = time.perf_counter() - begun
        if tracker._writer.wait() != 0:
            raise SystemExit("the writer failed: the figures would mean nothing")
        writer = cpu_seconds(resource.RUSAGE_CHILDREN)
    cores = os.cpu_count() or 1
    print(f"stage {total:.1f} s, {step} steps, {rows} rows, {cores} cores")
    print(f"inside tracking calls {blocked:.3f} s: {blocked / total:.2%} of the stage")
    print(f"writer, at lowest priority, {writer:.2f} CPU s: {writer / total / cores:.2%} of the cores during the stage")
    print(f"together at most {blocked / total + writer / total / cores:.2%}")


if __name__ == "__main__":
    main()
