"""How much of its prompt each clip of a method shows, by the tracker."""

import torch

from interdiff.files import write_csv
from interdiff.video.evaluation.tracker import adherence
from interdiff.workflow.pipelines.video_stages import DecodingStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.judging import judged


def main(stage: Stage) -> None:
    """Reads `samples` of a method, the `index` of their prompts and the codec; writes `adherence`, a row per clip."""
    write_csv(stage.outputs["adherence"], judged(stage, adherence))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, DecodingStageSettings)
