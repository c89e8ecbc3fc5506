"""Train phase 2: the backbone on whole clips whose missing frames were filled."""

import torch

from interdiff.learning.training import Objective
from interdiff.video.backbone.tuning import save_tuned, tuned
from interdiff.video.planner.losses.refiner import LOSSES, FilledClips
from interdiff.video.planner.refiner import start_from_fill
from interdiff.workflow.pipelines.video_stages import RefinerStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.filling import filling_clips
from stages.start import load_start
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the index of phase 1's `anchors`, the `backbone` and the `interpolator`.

    Learns the clips that have anchors; writes a checkpoint of what differs from the backbone, or from the
    `adapted` one where that is given.
    """
    settings: RefinerStageSettings = stage.settings
    filled = filling_clips(stage, FilledClips, settings.refiner)
    torch.manual_seed(settings.training.seed)
    model = tuned(load_start(stage), settings.refiner.tuning)
    if settings.refiner.objective == "energy":
        start_from_fill(model)
    model, history = train_network(stage, model, Objective(filled.draw, LOSSES[settings.refiner.objective]))
    save_tuned(stage.outputs, "refiner", model, settings.refiner.tuning, history)


if __name__ == "__main__":
    run_stage(main, RefinerStageSettings)
