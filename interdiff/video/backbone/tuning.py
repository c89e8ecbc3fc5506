"""Networks made of the backbone: low-rank changes of its linear layers (LoRA), or all of its weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG, MODEL, load_weights, model_config, save_checkpoint
from interdiff.settings import validated
from interdiff.video.attention.sparse_linear import PROCESSOR, attention_of, set_attention
from interdiff.video.backbone.lora import Change, add_lora, lora_metadata, read_lora, start_lora
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.wan import WanDenoiser, first_blocks, match_precision

LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
"""Linear layers of attention and feed-forward in diffusers' Wan."""


def tuned(backbone: WanDenoiser, settings: TuningSettings) -> WanDenoiser:
    """A copy of the backbone, of which what the settings name learns.

    At first it answers as the backbone does, or, with `settings.start`, as the backbone with that LoRA; of the first
    `settings.layers` blocks the answer is still to be learned.

    Raises:
        InputError: the LoRA does not fit the backbone, or what learns of it; or the backbone has fewer blocks.
    """
    model, start = _blocks(backbone, settings), Path(settings.start) if settings.start else None
    set_attention(model.transformer, settings.attention)
    if settings.kind == "lora":
        # Here, since sampling does without it.
        from peft import LoraConfig

        model.requires_grad_(False)
        targets = LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=LORA_TARGETS)
        model.transformer.add_adapter(targets)
        for tensor in attention_weights(model).values():
            tensor.requires_grad_(True)
        # Of a backbone in bf16 they would be bf16 too, in which small steps and the moving average round to nothing.
        for parameter in learned(model).values():
            parameter.data = parameter.data.float()
        if start:
            start_lora(model.transformer, read_lora(start), start)
    else:
        model.float().requires_grad_(True)
        if start:
            add_lora(model.transformer, read_lora(start), start)
    if settings.gradient_checkpointing:
        model.transformer.enable_gradient_checkpointing()
    return model


def _blocks(backbone: WanDenoiser, settings: TuningSettings) -> WanDenoiser:
    """A copy of the backbone, or of its first blocks."""
    if settings.layers is None:
        return copy.deepcopy(backbone)
    return first_blocks(backbone, settings.layers, backbone.transformer.config.ffn_dim, "tuning")


def learned(model: WanDenoiser) -> dict[str, Tensor]:
    """The tensors of a tuned network that are not the backbone's."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def attention_weights(model: WanDenoiser) -> dict[str, Tensor]:
    """The tensors of sparse attention, which Wan has not."""
    return {name: tensor for name, tensor in model.named_parameters() if PROCESSOR in name}


def save_tuned(
    outputs: Mapping[str, Path],
    kind: str,
    model: WanDenoiser,
    settings: TuningSettings,
    history: Iterable[Mapping[str, Any]],
) -> None:
    """A checkpoint of what differs from the backbone: all weights, or a LoRA under the names that diffusers loads."""
    low_rank, attention = settings.kind == "lora", attention_of(model.transformer)
    described = settings.model_dump(include={"kind", *(["rank"] if low_rank else [])})
    if settings.layers is not None:
        described["layers"] = settings.layers
    if attention.kind != "dense":
        described["attention"] = attention.model_dump()
    config = {"kind": kind, "model": described}
    tensors = {name.replace(".default.", "."): tensor for name, tensor in learned(model).items()}
    metadata = lora_metadata(settings.rank, LORA_TARGETS) if low_rank else None
    save_checkpoint(outputs, tensors, config, history, metadata)


def load_tuned(folder: Path, kind: str, backbone: WanDenoiser) -> WanDenoiser:
    """A checkpoint of a network made of this backbone, in evaluation mode and in the backbone's own precision.

    It has no layers but the backbone's: low-rank changes are part of their weights.

    Raises:
        InputError: it is of another kind, or of a backbone of another size.
    """
    settings = validated(TuningSettings, model_config(folder / CONFIG, kind), str(folder / CONFIG))
    model = _blocks(backbone, settings)
    set_attention(model.transformer, settings.attention)
    if settings.kind == "lora":
        changes = read_lora(folder / MODEL)
        load_weights(folder / MODEL, model, attention_weights(model), lambda name: PROCESSOR in name)
        _check_complete(changes, model.transformer, settings.rank, folder / MODEL)
        add_lora(model.transformer, changes, folder / MODEL)
    else:
        load_weights(folder / MODEL, model.float(), dict(model.named_parameters()))
        match_precision(model, backbone)
    return model.requires_grad_(False).eval()


def _check_complete(changes: Mapping[str, Change], transformer: nn.Module, rank: int, path: Path) -> None:
    """A checkpoint changes all layers that learn, by the rank that it says."""
    endings = tuple(f".{target}" for target in LORA_TARGETS)
    targets = {name for name, _ in transformer.named_modules() if name.endswith(endings)}
    for layer in sorted(targets | changes.keys()):
        found = changes[layer].rank if layer in changes else 0
        if found != (rank if layer in targets else 0):
            raise InputError(f"{path}: layer {layer!r} has rank {found}: a checkpoint of another configuration")
