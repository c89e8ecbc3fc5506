"""Clips of a split's prompts by one method, from noise that is the same for all methods, and what they cost."""

from statistics import median

import numpy as np
import torch

from interdiff.files import write_arrays, write_json
from interdiff.keyframes.budget import counts_of, groups
from interdiff.learning.costs import now
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.batches import clip_noise
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.sampling_costs import sampling_costs
from interdiff.video.planner.samplers import load_sampler
from interdiff.video.planner.settings import SamplesStageSettings
from interdiff.video.planner.two_phase import Sampled
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the split's `index`, the `backbone`, the `negative` embedding, and for two phases, or an adapted
    backbone, what they are made of.

    Writes `samples`: `keys` [N], `indices` [N, K], and `refined` clips [N, 16, T, h, w] float16; and `costs`.
    """
    settings: SamplesStageSettings = stage.settings
    sampling = settings.sampling
    data = ShardDataset(stage.path("index"), ["embed", "latent"])
    count = min(sampling.clips, len(data))
    shape = data.shape("latent")
    noise = torch.stack(
        [clip_noise(f"{sampling.split}/{key}", shape, settings.seed) for key in data.keys[:count]]
    ).float()
    embed, truth = (data.batch(name, range(count)).float() for name in ("embed", "latent"))
    backbone = load_backbone(stage.inputs["backbone"], stage.device)
    oracle = stage.path("oracle") if "oracle" in stage.inputs else None
    sample = load_sampler(stage.folder, data, oracle, backbone, settings)
    parts: list[Sampled] = []
    times: list[float] = []
    together = min(sampling.batch, count)
    for rows in stage.progress(list(torch.arange(count).split(together)), "batches", unit="batch"):
        batch = [x[rows].to(stage.device) for x in (noise, embed, truth)]
        started = now()
        parts.append(sample(*batch))
        if len(rows) == together:
            times.append(now() - started)
    indices = torch.cat([part.indices for part in parts]).numpy(force=True).astype(np.int64)
    refined = torch.cat([part.refined for part in parts]).numpy(force=True).astype(np.float16)
    arrays = {"keys": np.array(data.keys[:count]), "indices": indices, "refined": refined}
    write_arrays(stage.outputs["samples"], arrays, finite=True)
    # A clip of each number of keyframes comes first, and stands for the others.
    alike = sorted(rows.tolist() for _, rows in groups(counts_of(indices)))
    standing = [rows[0] for rows in alike]
    first = [*standing, *(row for row in range(count) if row not in standing)][: max(together, len(standing))]
    batch = [x[first].to(stage.device) for x in (noise, embed, truth)]
    shares = [len(rows) / count for rows in alike]
    costs = sampling_costs(sample, median(times), backbone, *batch, shares=shares, reuse=sampling.reuse)
    write_json(stage.outputs["costs"], costs)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SamplesStageSettings)
