"""Training as a stage does it: its settings, its resumable state, its metrics and its progress."""

import signal
import sys

from interdiff.learning.training import Loss, Network, train
from interdiff.workflow.stage import Stage


class Follower:
    """The state of the processes after the first: they save nothing, and stop when the first does."""

    stop_requested = False

    def __init__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def load(self) -> None:
        return None

    def save(self, tensors: dict, meta: dict) -> None:
        pass


def train_network(stage: Stage, network: Network, loss: Loss) -> tuple[Network, list[dict[str, float]]]:
    """`interdiff.training.train` with the stage's `training` settings: the averaged network and its history.

    Of several processes the first goes on with the stage; the others end here.
    """
    settings = stage.settings.training
    first = stage.process == 0
    result = train(
        network,
        loss,
        settings,
        settings.batch_size,
        stage.state() if first else Follower(),
        stage.device,
        stage.tracker.log if first else lambda row: None,
        lambda steps: stage.progress(steps, "training", unit="step") if first else steps,
    )
    if not first:
        sys.exit(0)
    return result
