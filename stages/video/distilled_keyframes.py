"""Distil phase 1 into a student that makes K keyframes in one to four steps."""

from interdiff.files import load_arrays
from interdiff.video.backbone.tuning import load_tuned
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.keyframes import best_keyframes
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.workflow.pipelines.video_attention_stages import DistilledKeyframesStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.distillation import distil
from stages.start import load_start


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the `backbone`, maybe the `adapted` one, `keyframes` made of it, and the
    `negative` prompt's embedding.

    Writes a checkpoint of what the student differs by from phase 1.
    """
    settings: DistilledKeyframesStageSettings = stage.settings
    columns = ["latent", "embed", *(["noise"] if settings.keyframes.source == "generated" else [])]
    data = ShardDataset(stage.path("index"), columns)
    negative = load_negative(stage.path("negative"), stage.device, data)
    clips = TrainingClips([data], settings.training, stage.device)
    teacher = load_tuned(stage.folder("keyframes"), "keyframes", load_start(stage))
    best = best_keyframes(load_arrays(stage.path("oracle")))
    frames = ChosenFrames(clips, best, negative, settings.keyframes.model_copy(update={"drop_prompt": 0.0}))
    distil(stage, "distilled_keyframes", frames.draw, teacher, negative, settings.student)


if __name__ == "__main__":
    run_stage(main, DistilledKeyframesStageSettings)
