"""Clips of test prompts by one method, from noise that is the same for all methods, and what they cost."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from interdiff.files import load_arrays, write_arrays, write_json
from interdiff.video.backbone import load_backbone
from interdiff.video.batches import clip_noise, load_negative
from interdiff.video.choosers import by_selector, load_selector, without_looking
from interdiff.video.flow_matching import Guidance, euler, even_levels
from interdiff.video.methods import load_interpolator
from interdiff.video.sampling_costs import sampling_costs
from interdiff.video.settings import SamplesStageSettings
from interdiff.video.shard_dataset import ShardDataset
from interdiff.video.tuning import load_tuned
from interdiff.video.two_phase import Chooser, Sampled, TwoPhase
from interdiff.video.wan import WanDenoiser
from stages.runner import Stage, run_stage

Sample = Callable[[Tensor, Tensor], Sampled]


def main(stage: Stage) -> None:
    """Reads the test split's `index`, the `backbone`, the `negative` embedding, and for two phases what they are made of.

    Writes `samples`: `keys` [N], `indices` [N, K], `refined` and `interpolated` clips [N, 16, T, h, w] float16; and `costs`.
    """
    settings: SamplesStageSettings = stage.settings
    sampling = settings.sampling
    data = ShardDataset(stage.path("index"), ["embed", "latent"])
    count = min(sampling.clips, len(data))
    shape = data.shape("latent")
    noise = torch.stack([clip_noise(key, shape, settings.seed) for key in data.keys[:count]]).float()
    embed = data.batch("embed", range(count)).float()
    backbone = load_backbone(stage.folder("backbone"), stage.device)
    sample = _teacher(stage, backbone) if sampling.method == "teacher" else _two_phase(stage, backbone)
    parts: list[Sampled] = []
    times: list[float] = []
    for rows in stage.progress(list(torch.arange(count).split(sampling.batch)), "batches", unit="batch"):
        batch = noise[rows].to(stage.device), embed[rows].to(stage.device)
        started = time.perf_counter()
        parts.append(sample(*batch))
        if len(rows) == sampling.batch:
            times.append(time.perf_counter() - started)
    arrays = {
        name: torch.cat([getattr(part, name) for part in parts]).numpy(force=True)
        for name in ("indices", "interpolated", "refined")
    }
    arrays = {name: value.astype(np.float16 if value.ndim == 5 else np.int64) for name, value in arrays.items()}
    write_arrays(stage.outputs["samples"], arrays | {"keys": np.array(data.keys[:count])})
    first = [x[: sampling.batch].to(stage.device) for x in (noise, embed)]
    write_json(stage.outputs["costs"], sampling_costs(sample, median(times), backbone, *first))


def _guidance(stage: Stage) -> Guidance:
    return Guidance(stage.settings.sampling.guidance, load_negative(stage.path("negative"), stage.device))


def _teacher(stage: Stage, backbone: WanDenoiser) -> Sample:
    sampling, guidance = stage.settings.sampling, _guidance(stage)

    def sample(noise: Tensor, embed: Tensor) -> Sampled:
        frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
        z = euler(guidance.velocity(backbone, embed, frames), noise, even_levels(sampling.steps, sampling.shift))
        return Sampled(frames, z, z)

    return sample


def _chooser(stage: Stage, backbone: WanDenoiser) -> Chooser:
    settings: SamplesStageSettings = stage.settings
    k, policy = settings.sampling.k, settings.sampling.selector
    if policy == "selector":
        return by_selector(load_selector(stage.folder("selector"), stage.device), backbone, k, settings.preview_level)
    cost = load_arrays(stage.path("oracle"))["cost"]
    return without_looking(policy, cost, k, settings.max_gap_factor, settings.seed)


def _two_phase(stage: Stage, backbone: WanDenoiser) -> Sample:
    settings: SamplesStageSettings = stage.settings
    both = TwoPhase(
        choose=_chooser(stage, backbone),
        keyframes=load_tuned(stage.folder("keyframes"), "keyframes", backbone),
        interpolator=load_interpolator(stage.folder("interpolator"), stage.device),
        refiner=load_tuned(stage.folder("refiner"), "refiner", backbone),
        guidance=_guidance(stage),
        settings=settings.sampling,
        levels=settings.levels,
        max_gap_factor=settings.max_gap_factor,
        trained_noise=settings.trained_noise,
    )
    generator = stage.generator()
    return lambda noise, embed: both.sample(noise, embed, generator)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SamplesStageSettings)
