"""Prepared data: sequences of all layouts with their conditions and maps, one .npz per split, and what was left out."""

from collections import Counter
from pathlib import Path

from interdiff.errors import InputError
from interdiff.files import write_arrays, write_csv
from interdiff.maze.world.d4rl import Stream, read_streams
from interdiff.maze.world.layouts import Layout
from interdiff.maze.world.sequences import SPLITS, prepare
from interdiff.maze.world.settings import DataSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads inputs `demonstrations`, ordered as settings.layouts; writes `train`, `val`, `test` and `counts`."""
    paths = stage.inputs["demonstrations"]
    files = [_with_layouts(path) for path in stage.progress(paths, "reading", unit="file")]
    names = [path.stem for path in paths]
    if names != stage.settings.layouts:
        raise InputError(f"layouts: expected {stage.settings.layouts}, the demonstrations are of {names}")
    splits, counts = prepare([stream for streams in files for stream in streams], stage.settings)
    rows = []
    for name, streams in zip(names, files, strict=True):
        total: Counter[str] = Counter()
        for layout, _ in streams:
            total.update(counts[layout.name])
        print(f"{name}: " + ", ".join(f"{reason}: {count}" for reason, count in total.items()), flush=True)
        kept = sum(total[split] for split in SPLITS)
        reasons = [reason for reason in total if reason not in SPLITS]
        rows += [{"layout": name, "kept": kept, "dropped": total[reason], "why": reason} for reason in reasons]
    write_csv(stage.outputs["counts"], rows, ("layout", "kept", "dropped", "why"))
    for name, data in splits.items():
        write_arrays(stage.outputs[name], data)


def _with_layouts(path: Path) -> list[tuple[Layout, Stream]]:
    streams = [(stream.layout, stream) for stream in read_streams(path) if stream.layout is not None]
    if not streams:
        raise InputError(
            f"{path}: attributes 'layout' and 'map' are missing; expected a file of the demonstrations stage"
        )
    return streams


if __name__ == "__main__":
    run_stage(main, DataSettings)
