"""Networks made of the backbone: low-rank changes of its linear layers (LoRA), or all of its weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor

from interdiff.learning.checkpoints import CONFIG, MODEL, load_weights, model_config
from interdiff.settings import validated
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.wan import WanDenoiser

LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
"""Linear layers of attention and feed-forward in diffusers' Wan."""


def tuned(backbone: WanDenoiser, settings: TuningSettings) -> WanDenoiser:
    """A copy of the backbone, of which what the settings name learns; at first it answers as the backbone does."""
    model = copy.deepcopy(backbone)
    if settings.kind == "lora":
        model.requires_grad_(False)
        targets = LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=LORA_TARGETS)
        model.transformer.add_adapter(targets)
        # Of a backbone in bf16 they would be bf16 too, in which small steps and the moving average round to nothing.
        for parameter in learned(model).values():
            parameter.data = parameter.data.float()
    else:
        model.float().requires_grad_(True)
    if settings.gradient_checkpointing:
        model.transformer.enable_gradient_checkpointing()
    return model


def learned(model: WanDenoiser) -> dict[str, Tensor]:
    """The tensors of a tuned network that are not the backbone's."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def tuned_config(settings: TuningSettings) -> Mapping[str, Any]:
    """What a checkpoint says of how its tensors fit on the backbone."""
    return settings.model_dump(include={"kind", "rank"} if settings.kind == "lora" else {"kind"})


def load_tuned(folder: Path, kind: str, backbone: WanDenoiser) -> WanDenoiser:
    """A checkpoint of a network made of this backbone, in evaluation mode and in the backbone's own precision.

    It has the backbone's layers and no others: low-rank changes are part of their weights.

    Raises:
        InputError: it is of another kind, or of a backbone of another size.
    """
    model = tuned(backbone, validated(TuningSettings, model_config(folder / CONFIG, kind), str(folder / CONFIG)))
    load_weights(folder / MODEL, model, learned(model))
    _merge(model)
    match_precision(model, backbone)
    return model.requires_grad_(False).to(next(backbone.parameters()).device).eval()


@torch.no_grad()
def _merge(model: WanDenoiser) -> None:
    """Add low-rank changes to the weights that they change, in fp32, layer by layer, and take their layers away."""
    layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        weight = layer.get_base_layer().weight
        (change,) = map(layer.get_delta_weight, layer.active_adapters)
        weight.copy_(weight.float() + change)
    model.transformer.unload_lora()


def match_precision(model: WanDenoiser, backbone: WanDenoiser) -> None:
    """Give tensors of a trained network the types of the backbone's by the same names."""
    types = {name: parameter.dtype for name, parameter in backbone.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(types.get(name, parameter.dtype))
