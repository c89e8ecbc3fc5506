"""How near a teacher's answers are to those of the dense backbone, and how much of its attention the chosen blocks cover."""

import torch

from interdiff.files import write_json
from interdiff.video.attention.sparse_linear import set_attention
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.batches import clip_noise
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.attention import faithfulness
from interdiff.workflow.pipelines.video_attention_stages import FaithfulnessStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.start import load_start


def main(stage: Stage) -> None:
    """Reads the test split's `index`, the `backbone` and, where the teacher is that, the `adapted` one.

    Writes `faithfulness`: `velocity_error`, relative, and `mass`, means over clips.
    """
    settings: FaithfulnessStageSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    count = min(settings.clips, len(data))
    model, dense = load_start(stage), load_backbone(stage.inputs["backbone"], stage.device)
    set_attention(model.transformer, settings.attention)
    errors: list[torch.Tensor] = []
    masses: list[torch.Tensor] = []
    for rows in stage.progress(list(torch.arange(count).split(settings.batch)), "clips", unit="batch"):
        z, embed = (data.batch(name, rows.tolist()).float().to(stage.device) for name in ("latent", "embed"))
        keys = [data.keys[row] for row in rows.tolist()]
        noise = torch.stack([clip_noise(f"test/{key}", z.shape[1:], settings.seed) for key in keys]).to(z)
        for parts, part in zip((errors, masses), faithfulness(model, dense, z, noise, embed), strict=True):
            parts.append(part)
    means = {name: float(torch.cat(parts).mean()) for name, parts in (("velocity_error", errors), ("mass", masses))}
    write_json(stage.outputs["faithfulness"], means)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, FaithfulnessStageSettings)
