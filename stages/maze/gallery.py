"""A gallery of one layout's plans: the first few of the first seed, not picked; of a family, one of each maze."""

from interdiff.files import load_arrays
from interdiff.maze.figures.gallery import ARRAYS, gallery, plans_of
from interdiff.workflow.pipelines.maze_report import GallerySettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `samples`; writes the picture `gallery` of the layout that its file is named after."""
    samples = load_arrays(stage.path("samples"), ARRAYS)
    numbers = plans_of(samples["layout"], stage.outputs["gallery"].stem)
    gallery(samples, numbers[: stage.settings.samples_drawn], stage.outputs["gallery"])


if __name__ == "__main__":
    run_stage(main, GallerySettings)
