"""Samplers by their settings: the backbone on all frames, or both phases, put together from their checkpoints.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.learning import draws
from interdiff.video.attention.sparse_linear import reused_choices, set_attention
from interdiff.video.backbone.flow_matching import Guidance, euler, even_levels
from interdiff.video.backbone.inference import for_sampling
from interdiff.video.backbone.tuning import attention_weights, load_tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import load_negative
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.distillation.sampling import few_steps, fresh
from interdiff.video.distillation.trigflow import answering
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.planner.auto import AutoTwoPhase
from interdiff.video.planner.choosers import by_selector, load_selector, without_looking
from interdiff.video.planner.preview import load_preview
from interdiff.video.planner.segment_cost import load_video_segment_cost
from interdiff.video.planner.settings import SELECTED, SamplesStageSettings, SamplingSettings
from interdiff.video.planner.two_phase import Chooser, Sampled, TwoPhase

Sampler = Callable[[Tensor, Tensor, Tensor | None], Sampled]
"""(noise [B, C, T, H, W], embeddings [B, L, D], the data's own clips where a control takes them) -> clips."""
Folder = Callable[[str], Path]
"""Where the artifact of a stage is, by its name: backbone, adapted, negative, keyframes, interpolator, selector, ..."""


def load_sampler(
    folder: Folder, prompts: ShardDataset, oracle: Path | None, backbone: WanDenoiser, settings: SamplesStageSettings
) -> Sampler:
    """A method of metrics.csv for prompts; from here on the backbone, too, is one that samples (`for_sampling`).

    oracle: of training clips, read where neither prompt nor noise choose keyframes.
    """
    if settings.sampling.method == "real":
        return _real
    device = next(backbone.parameters()).device
    negative = load_negative(folder("negative") / "negative.npz", device, prompts)
    guidance = Guidance(settings.sampling.guidance, negative, settings.sampling.guided_below)
    compiled, sage = settings.sampling.compile, settings.sampling.sage
    starts: dict[str, WanDenoiser] = {}
    if settings.adapted:
        starts = dict.fromkeys(settings.adapted, load_tuned(folder("adapted"), "adapted", backbone))
    if settings.sampling.method in ("student", "unguided"):
        student = for_sampling(load_tuned(folder("distilled"), "distilled", backbone), compiled)
        check_sparse(settings.sampling, [student])
        for_sampling(backbone, compiled)
        return (
            _student(student, settings)
            if settings.sampling.method == "student"
            else _teacher(student, guidance, settings)
        )
    if settings.sampling.method == "teacher":
        teacher = starts.get("teacher", backbone)
        if settings.sampling.attention.kind != "dense":
            teacher = copy.deepcopy(backbone)
            set_attention(teacher.transformer, settings.sampling.attention)
        check_sparse(settings.sampling, [teacher])
        if teacher is not backbone:
            for_sampling(backbone, compiled)
        return _teacher(for_sampling(teacher, compiled, sage), guidance, settings)
    used = ["keyframes", *(["refiner"] if settings.sampling.refiner_steps else [])]
    phases = {name: load_phase(folder, name, starts.get(name, backbone), settings.sampling) for name in used}
    check_sparse(settings.sampling, phases.values())
    both = TwoPhase(
        k=max(settings.sampling.counts),
        choose=_chooser(folder, oracle, backbone, settings),
        keyframes=for_sampling(phases["keyframes"], compiled, sage),
        interpolator=load_interpolator(folder("interpolator"), device),
        refiner=for_sampling(phases["refiner"], compiled, sage) if "refiner" in phases else None,
        guidance=guidance,
        settings=settings.sampling,
        levels=settings.levels,
        max_gap_factor=settings.max_gap_factor,
        trained_noise=settings.trained_noise,
        forced=settings.forced,
    )
    # Last, since the networks of both phases are copies of it.
    for_sampling(backbone, compiled)
    sampler = _auto(folder, both, device, settings) if settings.sampling.k == "auto" else both
    generator = draws.generator_of(settings.seed)
    return lambda noise, embed, truth: sampler.sample(noise, embed, generator, truth)


def _auto(folder: Folder, both: TwoPhase, device: torch.device, settings: SamplesStageSettings) -> AutoTwoPhase:
    model = load_video_segment_cost(folder("segment_cost"), device)
    sampling = settings.sampling
    return AutoTwoPhase(
        both, lambda embed: model.all_costs(embed, settings.cost_levels), sampling.counts, sampling.tolerance
    )


def load_phase(folder: Folder, name: str, start: WanDenoiser, settings: SamplingSettings) -> WanDenoiser:
    """A phase's network, or its student where the settings say so: phase 1's is made of phase 1, phase 2's of the backbone."""
    student = name in settings.distilled
    if name == "keyframes" or not student:
        start = load_tuned(folder(name), name, start)
    return load_tuned(folder(f"distilled_{name}"), f"distilled_{name}", start) if student else start


def check_sparse(settings: SamplingSettings, networks: Iterable[WanDenoiser]) -> None:
    """InputError where something of sparse attention is asked for, and none of a method's networks has that."""
    for key, dense in (("sage", False), ("reuse", 1)):
        if getattr(settings, key) != dense and not any(attention_weights(network) for network in networks):
            raise InputError(f"sampling.{key}: expected {str(dense).lower()} for a method without sparse attention")


def _real(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Sampled:
    assert truth is not None
    return Sampled(torch.arange(truth.shape[2], device=truth.device).expand(len(truth), -1), truth, truth)


def _teacher(backbone: WanDenoiser, guidance: Guidance, settings: SamplesStageSettings) -> Sampler:
    levels = even_levels(settings.sampling.steps, settings.sampling.shift)

    def sample(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Sampled:
        frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
        with reused_choices([backbone], settings.sampling.reuse):
            z = euler(guidance.velocity(backbone, embed, frames), noise, levels)
        return Sampled(frames, z, z)

    return sample


def _student(student: WanDenoiser, settings: SamplesStageSettings) -> Sampler:
    generator = draws.generator_of(settings.seed)

    def sample(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Sampled:
        frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
        with reused_choices([student], settings.sampling.reuse):
            z = few_steps(answering(student, embed, frames), noise, settings.sampling.steps, fresh(noise, generator))
        return Sampled(frames, z, z)

    return sample


def _chooser(folder: Folder, oracle: Path | None, backbone: WanDenoiser, settings: SamplesStageSettings) -> Chooser:
    policy = settings.sampling.selector
    if policy == SELECTED:
        selector = load_selector(folder("selector"), next(backbone.parameters()).device)
        preview = load_preview(folder("preview"), backbone) if selector.looks else None
        return by_selector(selector, preview)
    assert oracle is not None
    cost = load_arrays(oracle)["cost"]
    return without_looking(policy, cost, settings.max_gap_factor, settings.seed)
