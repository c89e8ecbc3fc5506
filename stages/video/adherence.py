"""How much of its prompt each clip of a method shows, by the tracker."""

import numpy as np
import torch

from interdiff.files import load_arrays, write_csv
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.tracker import adherence
from interdiff.workflow.pipelines.video_stages import AdherenceStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads `samples` of a method, the `index` of their prompts and the codec; writes `adherence`, a row per clip."""
    settings: AdherenceStageSettings = stage.settings
    samples = load_arrays(stage.path("samples"), ("keys", "refined"))
    prompts = ShardDataset(stage.path("index"), ["prompt"])
    codec = load_codec(settings.codec, stage.folder("codec"), stage.device)
    rows = []
    for key, z in zip(samples["keys"].tolist(), stage.progress(samples["refined"], "clips", unit="clip"), strict=True):
        video = codec.decode(torch.from_numpy(z.astype(np.float32))[None].to(stage.device))[0].numpy(force=True)
        rows.append({"key": key} | adherence(video, prompts.by_key(key)["prompt"]))
    write_csv(stage.outputs["adherence"], rows)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, AdherenceStageSettings)
