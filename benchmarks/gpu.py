"""What only a GPU shows, in at most eight minutes on one card and without a network: python -m benchmarks.gpu OUT.json.

The smoke run of both domains on a GPU, every stage; a training that goes on from the CPU to the GPU and back; two jobs that
lease one card; then forward passes and training steps at the size of Wan2.1-1.3B. OUT.json is written after every part, and
OUT.md beside it as a table. What the time did not suffice for is named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.attention import rows
from benchmarks.wan import REAL, TOY, Size, backbone, batch, table
from interdiff.files import atomic_path, write_json
from interdiff.learning import draws
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Interrupted, Objective, train
from interdiff.video.backbone.losses import FlowBatch, flow_matching_loss
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import tuned

PARTS = ["smoke", "resume", "leases", "attention", "table"]
ROOT = Path(__file__).parents[1]
STEPS = 3
"""Of the small training, on each device in its turn."""


def trained_on(places: list[torch.device], folder: Path) -> list[float]:
    """Losses of a small training that is stopped and goes on on each of some devices."""
    settings = BlockwiseTrainingSettings(steps=STEPS * len(places), batch_size=4, log_every=1, save_every=100)
    history: list[dict[str, float]] = []
    for number, place in enumerate(places, 1):
        torch.manual_seed(0)
        network = tuned(backbone(TOY, torch.device("cpu")), TuningSettings(kind="full"))
        objective = Objective(partial(fresh_noise, place), flow_matching_loss)
        with suppress(Interrupted), TrainingState(folder) as state:
            steps = partial(until_stopped, state, STEPS * number if number < len(places) else None)
            _, history = train(network, objective, settings, state, place, lambda row: None, steps)
    return [row["loss"] for row in history]


def fresh_noise(place: torch.device, generator: torch.Generator, done: float) -> FlowBatch:
    """A batch whose noise is that of the stream."""
    given = batch(TOY, TOY.counts[0], 4, place)
    return replace(given, noise=draws.normal(given.noise.shape, generator, place))


def until_stopped(state: TrainingState, last: int | None, left: range) -> Iterator[int]:
    """Steps of a training that is asked to stop at the last one."""
    for step in left:
        state.stop_requested = step + 1 == last
        yield step


def resume(device: torch.device) -> dict[str, Any]:
    """Losses of a training on the CPU, the device and the CPU again, beside the same on the CPU alone."""
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        there, here = (
            trained_on(places, Path(folder) / name)
            for name, places in (("there", [cpu, device, cpu]), ("here", [cpu, cpu, cpu]))
        )
    off = max(abs(a - b) for a, b in zip(there, here, strict=True))
    if len(there) != 3 * STEPS or off > 0.01:
        raise AssertionError(f"losses {there} after the way over {device}, {here} on the CPU alone")
    return {"largest_difference": off, "losses": there}


LEASE = """
import sys, time
from interdiff.learning.devices import lease
started, ids = time.time(), lease(1)
import torch
seen = torch.cuda.device_count()
leased = time.time()
time.sleep(2)
print(started, leased, time.time(), seen, *ids)
"""


def leases() -> dict[str, Any]:
    """Two jobs that lease a device at the same time: which they had, and when, in seconds from the first one's start."""
    jobs = [
        subprocess.Popen([sys.executable, "-c", LEASE], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [job.communicate()[0].split() for job in jobs]
    origin = min(float(words[0]) for words in said)
    held: list[dict[str, Any]] = [
        {"leased": float(words[1]) - origin, "ended": float(words[2]) - origin, "seen": int(words[3]), "ids": words[4:]}
        for words in said
    ]
    first, second = sorted(held, key=lambda job: job["leased"])
    if first["ids"] == second["ids"] and second["leased"] < first["ended"]:
        raise AssertionError(f"two jobs had one device at once: {held}")
    return {"jobs": held}


def smoke(gpus: int) -> dict[str, Any]:
    """Seconds of the smoke profile's run of both domains, in a folder of its own, and how many jobs it had."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "snakemake", "--workflow-profile", "profiles/smoke", "--resources", f"gpu={gpus}", "--nocolor"]
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, *command, "--config", f"results={folder}", "--", "all", "video"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        records = [json.loads(path.read_text()) for path in Path(folder).glob("*/.manifest/**/*.json")]
    if done.returncode:
        raise AssertionError(f"the smoke run failed: {(done.stdout + done.stderr)[-4000:]}")
    return {"seconds": time.monotonic() - started, "jobs": len(records), "on_gpus": sum(r["gpus"] > 0 for r in records)}


def attention(size: Size, device: torch.device, until: float) -> Iterator[dict[str, Any]]:
    """Kernels of one layer at the tokens of a whole clip, and of one about twice as long."""
    config = size.network
    for frames in (size.frames, 2 * size.frames - 1):
        length = frames * (size.height // 2) * (size.width // 2)
        yield from rows(length, config["num_attention_heads"], config["attention_head_dim"], device, until)


def measured(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The table's rows, each printed as it comes."""
    kept = []
    for row in rows:
        print(json.dumps(row), flush=True)
        kept.append(row)
    if errors := [row for row in kept if "error" in row]:
        print(f"{len(errors)} rows failed", file=sys.stderr)
    return {"rows": kept, "complete": not errors}


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    lines = [f"{report['device']}, torch {report['torch']}", ""]
    for part in ("smoke", "resume", "leases"):
        if part in report:
            lines.append(f"- {part}: {json.dumps(report[part])}")
    lines += ["", "| attention of a layer | tokens | keep | forward, ms | and backward, ms |", "|---|---|---|---|---|"]
    for row in report.get("attention", {}).get("rows", []):
        cells = [row["what"], row.get("tokens", ""), row.get("keep", "")]
        cells += [f"{row[name]:.2f}" if name in row else "" for name in ("forward_ms", "both_ms")]
        if "relative_error" in row:
            cells[0] += f", relative error {row['relative_error']:.2g}"
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "| what | frames | keep | clips | compiled | checkpointing | ms | GiB | times the arithmetic |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report.get("table", {}).get("rows", []):
        marks = ["yes" if row.get(name) else "no" for name in ("compiled", "checkpointing")]
        figures = (
            [f"{row['ms']:.0f}", f"{row['peak_gib']:.1f}", f"{row['over_arithmetic']:.2f}"]
            if "ms" in row
            else ["", "", ""]
        )
        cells = [row["what"], *(str(row.get(name, "")) for name in ("k", "keep", "clips")), *marks, *figures]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a part failed, whose error is in the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write; a table goes beside it")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS, help="what to do (default: everything)")
    parser.add_argument("--toy", action="store_true", help="a tiny backbone, on the CPU where there is no GPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="the table ends then (default: 8)")
    given = parser.parse_args(arguments)
    if not (given.toy or torch.cuda.is_available()):
        parser.error("torch finds no GPU; --toy runs the same on the CPU at toy size")
    device, until = torch.device("cuda" if torch.cuda.is_available() else "cpu"), time.monotonic() + 60 * given.minutes
    size = TOY if given.toy else REAL
    parts: dict[str, Callable[[], Any]] = {
        "smoke": partial(smoke, int(device.type == "cuda")),
        "resume": partial(resume, device),
        "leases": leases,
        "attention": lambda: measured(attention(size, device, until)),
        "table": lambda: measured(table(size, device, until)),
    }
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    report: dict[str, Any] = {"device": name, "torch": torch.__version__, "failed": []}
    for part in given.parts:
        try:
            report[part] = parts[part]()
        except Exception as error:
            report[part] = {"error": f"{type(error).__name__}: {error}"}
        if "error" in report[part] or not report[part].get("complete", True):
            report["failed"].append(part)
        write_json(given.out, report)
        print(f"{part}: {'failed' if part in report['failed'] else 'done'}", flush=True)
    with atomic_path(given.out.with_suffix(".md")) as path:
        path.write_text(markdown(report))
    return int(bool(report["failed"]))


if __name__ == "__main__":
    sys.exit(main())
