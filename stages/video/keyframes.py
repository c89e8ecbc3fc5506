"""Train phase 1: the backbone on K frames of a clip alone."""

import torch

from interdiff.files import load_arrays
from interdiff.learning.training import Objective
from interdiff.video.backbone.losses import flow_matching_loss
from interdiff.video.backbone.tuning import save_tuned, tuned
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.keyframes import best_keyframes
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.settings import KeyframesSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.start import load_start
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the `backbone` and the `negative` prompt's embedding.

    Writes a checkpoint of what differs from the backbone, or from the
    `adapted` one where that is given.
    """
    settings: KeyframesSettings = stage.settings
    columns = ["latent", "embed", *(["noise"] if settings.source == "generated" else [])]
    data = ShardDataset(stage.path("index"), columns)
    clips = TrainingClips([data], settings.training, stage.device)
    negative = load_negative(stage.path("negative"), stage.device, data)
    best = best_keyframes(load_arrays(stage.path("oracle")))
    torch.manual_seed(settings.training.seed)
    model = tuned(load_start(stage), settings.tuning)
    frames = ChosenFrames(clips, best, negative, settings)
    model, history = train_network(stage, model, Objective(frames.draw, flow_matching_loss))
    save_tuned(stage.outputs, "keyframes", model, settings.tuning, history)


if __name__ == "__main__":
    run_stage(main, KeyframesSettings)
