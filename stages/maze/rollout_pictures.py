"""Pictures of the planners in the simulator, and one plan as it is made and driven."""

from interdiff.files import load_arrays
from interdiff.maze.figures.rollouts import animation, compute_picture, driven_picture
from interdiff.settings import NoSettings
from interdiff.tables import read_table
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `rollouts` and each map's `driven`; writes the pictures `driven`, `compute` and, of the last map, `plan`."""
    maps = [load_arrays(path) for path in stage.inputs["driven"]]
    driven_picture(maps, stage.outputs["driven"])
    compute_picture(read_table(stage.path("rollouts")), stage.outputs["compute"])
    animation(maps[-1], stage.outputs["plan"])


if __name__ == "__main__":
    run_stage(main, NoSettings)
