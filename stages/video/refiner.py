"""Train phase 2: the backbone on whole clips whose missing frames were filled."""

import torch

from interdiff.files import load_arrays
from interdiff.learning.training import Objective
from interdiff.video.backbone.tuning import save_tuned, tuned
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.planner.losses.refiner import LOSSES, FilledClips, nested_masks
from interdiff.workflow.pipelines.video_stages import RefinerStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.start import load_start
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the index of phase 1's `anchors`, the `backbone` and the `interpolator`.

    Learns the clips that have anchors; writes a checkpoint of what differs from the backbone, or from the
    `adapted` one where that is given.
    """
    settings: RefinerStageSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    anchors = ShardDataset(stage.path("anchors"), ["frames", "keyframes"])
    clips = TrainingClips([anchors, data], settings.training, stage.device)
    cost = load_arrays(stage.path("oracle"))["cost"][[data.number(key) for key in anchors.keys]]
    interpolator = load_interpolator(stage.folder("interpolator"), stage.device)
    torch.manual_seed(settings.training.seed)
    model = tuned(load_start(stage), settings.refiner.tuning)
    masks = nested_masks(cost, settings.refiner.levels, settings.max_gap_factor)
    filled = FilledClips(clips, masks, interpolator, settings.refiner)
    model, history = train_network(stage, model, Objective(filled.draw, LOSSES[settings.refiner.objective]))
    save_tuned(stage.outputs, "refiner", model, settings.refiner.tuning, history)


if __name__ == "__main__":
    run_stage(main, RefinerStageSettings)
