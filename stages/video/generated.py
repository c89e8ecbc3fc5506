"""One shard of clips that the backbone makes of a split's prompts, with the noise that they were made of."""

from collections.abc import Iterator

import torch
from torch import Tensor

from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.flow_matching import Guidance, unipc
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.data.batches import clip_noise, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shards import GENERATED_COLUMNS, write_shard
from interdiff.workflow.pipelines.video_stages import GeneratedStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads a split's `index`, the `backbone` and the `negative` embedding; writes `shard`, of the prompts of its namesake."""
    settings: GeneratedStageSettings = stage.settings
    sampled = settings.generated
    data = ShardDataset(stage.path("index"), ("latent", "embed", "prompt"))
    model = for_sampling(load_backbone(stage.inputs["backbone"], stage.device), sampled.compile)
    guidance = Guidance(sampled.guidance, load_negative(stage.path("negative"), stage.device, data))
    keys = data.keys_in(settings.number)
    frames = torch.arange(data.shape("latent")[1], device=stage.device)

    def samples() -> Iterator[tuple[str, dict[str, Tensor | str]]]:
        with stage.progress(len(keys), "clips", unit="clip") as progress:
            for first in range(0, len(keys), sampled.batch):
                batch = [data.by_key(key) for key in keys[first : first + sampled.batch]]
                named = [(f"{settings.split}/{sample['key']}", sample["latent"].shape) for sample in batch]
                noise = torch.stack([clip_noise(name, shape, sampled.seed) for name, shape in named])
                embed = torch.stack([sample["embed"] for sample in batch]).float().to(stage.device)
                velocity = guidance.velocity(model, embed, frames.expand(len(batch), -1))
                latents = unipc(velocity, noise.float().to(stage.device), sampled.steps, settings.shift).bfloat16()
                for sample, latent, own in zip(batch, latents, noise, strict=True):
                    yield sample["key"], sample | {"latent": latent, "noise": own}
                progress.update(len(batch))

    rows = ((key, {name: s[name] for name in GENERATED_COLUMNS}) for key, s in samples())
    write_shard(stage.outputs["shard"], rows, GENERATED_COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, GeneratedStageSettings)
