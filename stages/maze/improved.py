"""A layout's demonstrations by a planner: of its plans, driven, the fastest that arrive."""

from interdiff.maze.evaluation.contenders import our_planners
from interdiff.maze.evaluation.improvement import demonstrations
from interdiff.maze.evaluation.settings import OURS, ImprovedStageSettings
from interdiff.maze.world.d4rl import write_family, write_stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the planner's `test` split for its sizes and its networks; writes `demonstrations`, named after the layout."""
    settings: ImprovedStageSettings = stage.settings
    (planner, *_) = our_planners(settings, stage.results, stage.device)[OURS]
    path, told = stage.outputs["demonstrations"], (settings.rows, settings, settings.tracker, stage.generator)
    if isinstance(settings.map, str):
        layout = load_layout(settings.map, name=path.stem)
        write_stream(path, demonstrations(planner, layout, *told), layout)
        return
    mazes = stage.progress(random_layouts(settings.map, path.stem), path.stem, unit="maze")
    write_family(path, ((demonstrations(planner, layout, *told), layout) for layout in mazes))


if __name__ == "__main__":
    run_stage(main, ImprovedStageSettings)
