"""results/video/profile.csv: where the time of a training step on whole clips, and on keyframes, goes."""

from typing import Any

import torch

from interdiff.files import write_csv
from interdiff.learning.costs import median_milliseconds
from interdiff.learning.optimizers import build_optimizers
from interdiff.tables import read_table
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.tuning import learned, tuned
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.profile import step_times
from interdiff.video.figures.attention import step_profile
from interdiff.workflow.pipelines.video_attention_stages import ProfileStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = ("attention", "frames", "pass", "part", "ms", "share")
REPEATS = 5


def main(stage: Stage) -> None:
    """Reads the training split's `index`, the `backbone` and the `codec`; writes `profile` and its `picture`."""
    settings: ProfileStageSettings = stage.settings
    phase = settings.refiner
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    numbers = list(range(min(settings.clips, len(data))))

    def read(_: int) -> list[torch.Tensor]:
        return [data.batch(name, numbers).float().to(stage.device) for name in ("latent", "embed")]

    z, embed = read(0)
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    reading = median_milliseconds(read) / len(z)
    with torch.no_grad():
        decoding = median_milliseconds(lambda _: codec.decode(z[:1]), repeats=REPEATS)
    backbone = load_backbone(stage.inputs["backbone"], stage.device)
    rows: list[dict[str, Any]] = []
    kinds = AttentionSettings(), settings.attention
    cases = [(attention, frames) for attention in kinds for frames in (settings.k, z.shape[2])]
    for attention, frames in stage.progress(cases, "passes", unit="step"):
        model = tuned(backbone, phase.tuning.model_copy(update={"attention": attention})).train()
        optimizers = build_optimizers(learned(model), phase.training)  # type: ignore[arg-type]
        places = torch.linspace(0, z.shape[2] - 1, frames, device=stage.device).round().long().expand(len(z), -1)
        given = z[:, :, places[0]], z.new_full((len(z), 1), 0.5), embed, places
        times = step_times(model, given, optimizers, phase.training.mixed_precision, REPEATS)
        step = {("reading", "reading"): reading} | {key: ms / len(z) for key, ms in times.items()}
        told = {"attention": attention.kind, "frames": frames}
        rows += [
            told | {"pass": a, "part": b, "ms": ms, "share": ms / sum(step.values())} for (a, b), ms in step.items()
        ]
    rows.append({"frames": z.shape[2], "pass": "decoding", "part": "decoding", "ms": decoding})
    write_csv(stage.outputs["profile"], rows, COLUMNS)
    step_profile(read_table(stage.outputs["profile"]), stage.outputs["picture"])


if __name__ == "__main__":
    run_stage(main, ProfileStageSettings)
