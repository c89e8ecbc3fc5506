"""The embedding of the negative prompt, which guidance and dropped prompts use."""

import torch

from interdiff.files import write_arrays
from interdiff.video.data.text import load_text_encoder
from interdiff.workflow.pipelines.video_stages import NegativeStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Writes `negative`, the array `embed` [L, D]."""
    settings: NegativeStageSettings = stage.settings
    encoder = load_text_encoder(settings.text, stage.device)
    write_arrays(stage.outputs["negative"], {"embed": encoder([settings.prompt])[0].float().numpy(force=True)})


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, NegativeStageSettings)
