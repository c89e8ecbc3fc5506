"""Training as a stage does it: its settings, its resumable state, its metrics and its progress."""

import signal
import sys
from typing import Any

from interdiff.learning.state import TrainingState
from interdiff.learning.training import Network, Objective, train
from interdiff.workflow.stage import Stage


class Follower(TrainingState):
    """The state of the processes after the first: they save nothing, and stop when the first does."""

    def __enter__(self) -> TrainingState:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        return self

    def save(self, tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        """Nothing: the first process does."""


def train_network(stage: Stage, network: Network, objective: Objective[Any]) -> tuple[Network, list[dict[str, float]]]:
    """`interdiff.learning.training.train` with the stage's `training` settings: the averaged network and its history.

    Of several processes the first goes on with the stage; the others end here.
    """
    settings = stage.settings.training
    first = stage.process == 0
    with stage.state() if first else Follower(stage.state_folder) as state:
        result = train(
            network,
            objective,
            settings,
            state,
            stage.device,
            stage.tracker.log if first else lambda row: None,
            lambda steps: stage.progress(steps, "training", unit="step") if first else steps,
        )
    if not first:
        sys.exit(0)
    return result
