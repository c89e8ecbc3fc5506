"""One shard of phase 1's outputs for training clips, by key: phase 2 trains on the errors it will meet."""

from collections.abc import Iterator

import torch
from torch import Tensor

from interdiff.files import load_arrays
from interdiff.video.backbone.flow_matching import Guidance, even_levels
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.backbone.tuning import load_tuned
from interdiff.video.data.batches import clip_noise, load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shards import ANCHOR_COLUMNS, write_shard
from interdiff.video.planner.keyframes import best_keyframes, keyframes_again, policy_frames
from interdiff.workflow.pipelines.video_stages import AnchorsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.start import load_start


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, the `backbone`, the `negative` embedding and phase 1's `keyframes`.

    Writes `shard`; `adapted`, where there is one, stands for the backbone.
    """
    settings: AnchorsStageSettings = stage.settings
    sampled = settings.anchors
    known = sampled.source == "generated"
    data = ShardDataset(stage.path("index"), ["latent", "embed", *(["noise"] if known else [])])
    best = best_keyframes(load_arrays(stage.path("oracle")))
    model = for_sampling(load_tuned(stage.folder("keyframes"), "keyframes", load_start(stage)), sampled.compile)
    rows = torch.tensor([data.number(key) for key in data.keys_in(settings.number)])
    own = {k: indices[rows] for k, indices in best.items()}
    rng = stage.rng(settings.number)
    frames = data.shape("latent")[1]
    places = torch.stack([policy_frames(p, sampled.k, frames, own, rng) for p in sampled.policies], 1)
    negative = load_negative(stage.path("negative"), stage.device, data)
    guidance = Guidance(sampled.guidance, negative, sampled.guided_below)
    levels = even_levels(sampled.steps, sampled.shift, sampled.start)

    def samples() -> Iterator[tuple[str, dict[str, Tensor]]]:
        for chunk in stage.progress(list(torch.arange(len(rows)).split(sampled.batch)), "clips", unit="batch"):
            batch = [data[row] for row in rows[chunk].tolist()]
            z, embed = (torch.stack([s[n] for s in batch]).float().to(stage.device) for n in ("latent", "embed"))
            noise = torch.stack(
                [s["noise"] if known else clip_noise(s["key"], s["latent"].shape, settings.seed) for s in batch]
            )
            made = [
                keyframes_again(model, z, noise.to(z), embed, places[chunk, r].to(stage.device), levels, guidance)
                for r in range(places.shape[1])
            ]
            for n, (sample, keyframes) in enumerate(zip(batch, torch.stack(made, 1).bfloat16(), strict=True)):
                yield sample["key"], {"frames": places[chunk[n]], "keyframes": keyframes}

    write_shard(stage.outputs["shard"], samples(), ANCHOR_COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, AnchorsStageSettings)
