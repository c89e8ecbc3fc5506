"""What the teacher says that filling costs: random segments of some clips, at random noise levels."""

from functools import partial

import numpy as np
import torch

from interdiff.files import write_arrays
from interdiff.learning import draws
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.flow_matching import shifted
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.segment_cost import teacher_costs
from interdiff.workflow.pipelines.video_stages import CostTargetsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads an `index` of clips and the `backbone`.

    Writes `targets`: of M measurements the clip `row`, the frames `i` and `j`, the level `sigma` and the `cost`, each [M].
    """
    settings: CostTargetsStageSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent", "embed"])
    model = load_backbone(stage.inputs["backbone"], stage.device)
    rng, generator = stage.rng(), stage.generator()
    frames = torch.arange(data.shape("latent")[1], device=stage.device)
    longest = min(settings.longest, len(frames) - 1)
    parts = []
    for row in stage.progress(range(min(settings.clips, len(data))), "clips", unit="clip"):
        sample = data[row]
        z, embed = (
            sample[name].float().to(stage.device).expand(settings.pairs, *sample[name].shape)
            for name in ("latent", "embed")
        )
        gap = rng.integers(2, longest + 1, settings.pairs)
        i = (rng.random(settings.pairs) * (len(frames) - gap)).astype(np.int64)
        u = draws.uniform((settings.pairs,), generator, stage.device)
        sigma = shifted(0.02 + 0.96 * u, settings.shift)
        noise = draws.normal(z.shape, generator, stage.device)
        first, last = (torch.from_numpy(index).to(stage.device) for index in (i, i + gap))
        velocity = partial(model, embed_bld=embed, frames_bf=frames.expand(settings.pairs, -1))
        cost = teacher_costs(velocity, z, noise, first, last, sigma)
        parts.append([np.full(settings.pairs, row), i, i + gap, sigma.numpy(force=True), cost.numpy(force=True)])
    names = ("row", "i", "j", "sigma", "cost")
    arrays = {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}
    write_arrays(stage.outputs["targets"], arrays)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, CostTargetsStageSettings)
