"""Training curves of the networks behind a variant's samples."""

from interdiff.plotting import training_curves
from interdiff.settings import NoSettings
from interdiff.tables import read_table
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads one history.csv per network, named after it; writes the picture `curves`."""
    training_curves({name: read_table(stage.path(name)) for name in stage.inputs}, stage.outputs["curves"])


if __name__ == "__main__":
    run_stage(main, NoSettings)
