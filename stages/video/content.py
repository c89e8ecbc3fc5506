"""How well each clip of a method fits its prompt and how steady it is, by a CLIP."""

import torch

from interdiff.files import write_csv
from interdiff.video.evaluation.content import content, load_clip
from interdiff.workflow.pipelines.video_stages import DecodingStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.judging import judged


def main(stage: Stage) -> None:
    """Reads `samples` of a method, the `index` of their prompts, the codec and the `clip`; writes `content`, a row per clip."""
    clip = load_clip(stage.folder("clip"), stage.device)
    write_csv(stage.outputs["content"], judged(stage, lambda video, prompt: content(video, prompt, clip)))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, DecodingStageSettings)
