"""How well each clip of a method fits its prompt and how steady it is, by a CLIP."""

import numpy as np
import torch

from interdiff.files import load_arrays, write_csv
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.content import content, load_clip
from interdiff.workflow.pipelines.video_stages import ContentStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `samples` of a method, the `index` of their prompts, the codec and the `clip`; writes `content`, a row per clip."""
    settings: ContentStageSettings = stage.settings
    samples = load_arrays(stage.path("samples"), ("keys", "refined"))
    prompts = ShardDataset(stage.path("index"), ["prompt"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    clip = load_clip(stage.folder("clip"), stage.device)
    rows = []
    for key, z in zip(samples["keys"].tolist(), stage.progress(samples["refined"], "clips", unit="clip"), strict=True):
        video = codec.decode(torch.from_numpy(z.astype(np.float32))[None].to(stage.device))[0].numpy(force=True)
        rows.append({"key": key} | content(video, prompts.by_key(key)["prompt"], clip))
    write_csv(stage.outputs["content"], rows)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, ContentStageSettings)
