"""Training as a stage does it: its settings, its resumable state, its metrics and its progress."""

from torch import nn

from interdiff.training import Loss, train
from stages.runner import Stage


def train_network(stage: Stage, network: nn.Module, loss: Loss) -> tuple[nn.Module, list[dict[str, float]]]:
    """`interdiff.training.train` with the stage's `training` settings: the averaged network and its history."""
    settings = stage.settings.training
    return train(
        network,
        loss,
        settings,
        settings.batch_size,
        stage.state(),
        stage.device,
        stage.tracker.log,
        lambda steps: stage.progress(steps, "training", unit="step"),
    )
