"""One maze's demonstrations, or a random family's: generated, or taken from a file from outside and given its map."""

from pathlib import Path

from interdiff.maze.world.controller import generate
from interdiff.maze.world.d4rl import write_family, write_stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.packages.sources import read_source
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.settings import LayoutSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Writes output `demonstrations`, named after the layout; `settings.source` is a file to take."""
    settings: LayoutSettings = stage.settings
    path = stage.outputs["demonstrations"]
    if not isinstance(settings.map, str):
        layouts = random_layouts(settings.map, path.stem)
        numbered = stage.progress(list(enumerate(layouts)), path.stem, unit="maze")
        write_family(path, ((generate(x, settings.rows, settings.seed + n, settings.noise), x) for n, x in numbered))
        return
    layout = load_layout(settings.map, name=path.stem)
    if settings.source is not None:
        source = Path(settings.source)
        stream = read_source(source, layout, settings.origin, settings.dt)
        if stream.hindsight:
            print(f"{source}: no goals; where an episode ends is its goal", flush=True)
        print(f"{source}: {int(stream.resets.sum())} resets, rows of {stream.dt} s", flush=True)
        write_stream(path, stream.arrays, layout, stream.dt)
    else:
        with stage.progress(settings.rows, layout.name, unit="row") as bar:
            arrays = generate(layout, settings.rows, settings.seed, settings.noise, progress=bar.update)
        write_stream(path, arrays, layout)


if __name__ == "__main__":
    run_stage(main, LayoutSettings)
