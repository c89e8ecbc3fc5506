"""Samplers by their settings: the backbone on all frames, or both phases, put together from their checkpoints.

B clips, C channels, T frames, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
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
from interdiff.video.planner.choosers import by_oracle, by_selector, load_selector, without_looking
from interdiff.video.planner.preview import load_preview
from interdiff.video.planner.segment_cost import load_video_segment_cost
from interdiff.video.planner.settings import ORACLE, SELECTED, Adapted, SamplesStageSettings, SamplingSettings
from interdiff.video.planner.two_phase import Chooser, Sampled, TwoPhase

Sampler = Callable[[Tensor, Tensor, Tensor | None], Sampled]
"""(noise [B, C, T, H, W], embeddings [B, L, D], the data's own clips where a control takes them) -> clips."""
Folder = Callable[[str], Path]
"""Where the artifact of a stage is, by its name: backbone, adapted, negative, keyframes, interpolator, selector, ..."""


@dataclass(frozen=True)
class Parts:
    """What a method is put together from.

    oracle: of training clips, read where neither prompt nor noise choose keyframes.
    """

    folder: Folder
    oracle: Path | None
    backbone: WanDenoiser
    guidance: Guidance
    settings: SamplesStageSettings

    @property
    def sampling(self) -> SamplingSettings:
        return self.settings.sampling

    @property
    def device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    @cached_property
    def adapted(self) -> WanDenoiser:
        """The backbone with sparse attention that it was tuned for."""
        return load_tuned(self.folder("adapted"), "adapted", self.backbone)

    def start(self, network: Adapted) -> WanDenoiser:
        """What a network is made of, or is."""
        return self.adapted if network in self.settings.adapted else self.backbone


def load_sampler(
    folder: Folder, prompts: ShardDataset, oracle: Path | None, backbone: WanDenoiser, settings: SamplesStageSettings
) -> Sampler:
    """A method of metrics.csv for prompts; from here on the backbone, too, is one that samples (`for_sampling`).

    oracle: see `Parts`.
    """
    sampling = settings.sampling
    if sampling.method == "real":
        return _real
    negative = load_negative(folder("negative") / "negative.npz", next(backbone.parameters()).device, prompts)
    guidance = Guidance(sampling.guidance, negative, sampling.guided_below)
    load = {
        "teacher": _load_teacher,
        "unguided": _load_student,
        "student": _load_student,
        "two_phase": _load_two_phase,
    }
    networks, sampler = load[sampling.method](Parts(folder, oracle, backbone, guidance, settings))
    check_sparse(sampling, networks)
    for network in networks:
        for_sampling(network, sampling.compile, sampling.sage)
    if not any(network is backbone for network in networks):
        for_sampling(backbone, sampling.compile)
    return sampler


def _load_teacher(parts: Parts) -> tuple[list[WanDenoiser], Sampler]:
    teacher = parts.start("teacher")
    if parts.sampling.attention.kind != "dense":
        teacher = copy.deepcopy(parts.backbone)
        set_attention(teacher.transformer, parts.sampling.attention)
    return [teacher], _teacher(teacher, parts)


def _load_student(parts: Parts) -> tuple[list[WanDenoiser], Sampler]:
    student = load_tuned(parts.folder("distilled"), "distilled", parts.backbone)
    make = _student if parts.sampling.method == "student" else _teacher
    return [student], make(student, parts)


def _load_two_phase(parts: Parts) -> tuple[list[WanDenoiser], Sampler]:
    settings, sampling = parts.settings, parts.sampling
    keyframes = load_phase(parts.folder, "keyframes", parts.start("keyframes"), sampling)
    refiner = load_phase(parts.folder, "refiner", parts.start("refiner"), sampling) if sampling.refiner_steps else None
    both = TwoPhase(
        k=max(sampling.counts),
        choose=_chooser(parts),
        keyframes=keyframes,
        interpolator=load_interpolator(parts.folder("interpolator"), parts.device),
        refiner=refiner,
        guidance=parts.guidance,
        settings=sampling,
        levels=settings.levels,
        max_gap_factor=settings.max_gap_factor,
        trained_noise=settings.trained_noise,
        forced=settings.forced,
    )
    sampler = _auto(parts, both) if sampling.k == "auto" else both
    generator = draws.generator_of(settings.seed)
    networks = [keyframes, refiner] if refiner else [keyframes]
    return networks, lambda noise, embed, truth: sampler.sample(noise, embed, generator, truth)


def _auto(parts: Parts, both: TwoPhase) -> AutoTwoPhase:
    model = load_video_segment_cost(parts.folder("segment_cost"), parts.device)
    levels, sampling = parts.settings.cost_levels, parts.sampling
    return AutoTwoPhase(both, lambda embed: model.all_costs(embed, levels), sampling.counts, sampling.tolerance)


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


def _teacher(teacher: WanDenoiser, parts: Parts) -> Sampler:
    levels = even_levels(parts.sampling.steps, parts.sampling.shift)

    def sample(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Sampled:
        frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
        with reused_choices([teacher], parts.sampling.reuse):
            z = euler(parts.guidance.velocity(teacher, embed, frames), noise, levels)
        return Sampled(frames, z, z)

    return sample


def _student(student: WanDenoiser, parts: Parts) -> Sampler:
    generator, sampling = draws.generator_of(parts.settings.seed), parts.sampling

    def sample(noise: Tensor, embed: Tensor, truth: Tensor | None) -> Sampled:
        frames = torch.arange(noise.shape[2], device=noise.device).expand(len(noise), -1)
        with reused_choices([student], sampling.reuse):
            z = few_steps(answering(student, embed, frames), noise, sampling.steps, fresh(noise, generator))
        return Sampled(frames, z, z)

    return sample


def _chooser(parts: Parts) -> Chooser:
    policy = parts.sampling.selector
    if policy == SELECTED:
        selector = load_selector(parts.folder("selector"), parts.device)
        preview = load_preview(parts.folder("preview"), parts.backbone) if selector.looks else None
        return by_selector(selector, preview)
    if policy == ORACLE:
        return by_oracle(parts.settings.max_gap_factor)
    assert parts.oracle is not None
    cost = load_arrays(parts.oracle)["cost"]
    return without_looking(policy, cost, parts.settings.max_gap_factor, parts.settings.seed)
