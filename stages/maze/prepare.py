"""Prepared data: sequences of all layouts with their conditions and maps, one .npz per split."""

from pathlib import Path

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.maze.d4rl import Stream, read_stream
from interdiff.maze.layouts import Layout
from interdiff.maze.prepare import prepare
from interdiff.maze.settings import DataSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads inputs `demonstrations`, ordered as settings.layouts; writes `train`, `val` and `test`."""
    paths = stage.inputs["demonstrations"]
    streams = [_with_layout(path) for path in stage.progress(paths, "reading", unit="file")]
    names = [layout.name for layout, _ in streams]
    if names != stage.settings.layouts:
        raise InputError(f"layouts: expected {stage.settings.layouts}, the demonstrations are of {names}")
    options = stage.settings.model_dump(exclude={"layouts"})
    splits, counts = prepare(streams, **options)
    for name, reasons in counts.items():
        print(f"{name}: " + ", ".join(f"{reason}: {count}" for reason, count in reasons.items()), flush=True)
    for name, data in splits.items():
        write_arrays(stage.outputs[name], data)


def _with_layout(path: Path) -> tuple[Layout, Stream]:
    stream = read_stream(path)
    if stream.layout is None:
        raise InputError(
            f"{path}: attributes 'layout' and 'map' are missing; expected a file of the demonstrations stage"
        )
    return stream.layout, stream


if __name__ == "__main__":
    run_stage(main, DataSettings)
