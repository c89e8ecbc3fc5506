"""Low-rank changes of a Wan transformer (LoRA) as files: written under diffusers' names, read under those of others too.

Read are the names of diffusers (`transformer.`), peft (`base_model.model.`), ComfyUI (`diffusion_model.`) and kohya
(`lora_unet_`), of diffusers' layers and of original Wan's. A layer's weight W [out, in] becomes W + alpha / rank * up @ down,
with down [rank, in] and up [out, rank].
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.files import read_json
from interdiff.learning.checkpoints import read_tensors
from interdiff.video.attention.sparse_linear import PROCESSOR

METADATA = "lora_adapter_metadata"
"""Where diffusers looks, in a safetensors file, for rank, alpha and layers."""
PEFT_FILE, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
PARTS = {
    "lora_A.weight": "down",
    "lora_down.weight": "down",
    "lora_B.weight": "up",
    "lora_up.weight": "up",
    "lora_B.bias": "up_bias",
    "alpha": "alpha",
    "diff": "weight",
    "diff_b": "bias",
}
"""What may follow a layer's name, and what of the change it is."""
LOW_RANK = {"down", "up", "alpha"}
PREFIXES = ("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "lora_unet_")
ORIGINAL = re.compile(r"self_attn|cross_attn|ffn[._]\d|(time|text)_embedding|time_projection|head[._]head")
"""What original Wan's layers have in their names, and diffusers' have not."""
KOHYA = (
    (r"^blocks_(\d+)_(self_attn|cross_attn|ffn|norm3)(_|$)", r"blocks.\1.\2."),
    (r"^(time_embedding|text_embedding|time_projection)_", r"\1."),
    (r"^head_head$", "head.head"),
)
"""Underscores that stand for dots in kohya's names."""


@dataclass
class Change:
    """What a file changes of a layer: `parts` by the names of PARTS, and `scale`, alpha / rank."""

    parts: dict[str, Tensor] = field(default_factory=dict)
    scale: float = 1.0

    @property
    def rank(self) -> int:
        """Of the low-rank part; 0 where there is none."""
        return len(self.parts["down"]) if "down" in self.parts else 0


def lora_metadata(rank: int, layers: list[str]) -> dict[str, str]:
    """What diffusers takes beside the tensors; alpha is the rank. One entry: safetensors writes several in any order."""
    config = {"r": rank, "lora_alpha": rank, "target_modules": layers}
    return {METADATA: json.dumps({f"transformer.{key}": value for key, value in config.items()}, sort_keys=True)}


def read_lora(path: Path) -> dict[str, Change]:
    """Changes by the names of diffusers' layers, such as `blocks.0.attn1.to_q`.

    Raises:
        InputError: the file is none of safetensors, or has names that are none of a LoRA's (lists some), half of a change,
            or peft's names without peft's configuration.
    """
    tensors = {name: tensor for name, tensor in read_tensors(path).items() if PROCESSOR not in name}
    original = any(ORIGINAL.search(name) for name in tensors)
    changes: dict[str, Change] = {}
    strange = []
    for name, tensor in sorted(tensors.items()):
        layer, part = _parsed(name, original)
        if part is None:
            strange.append(name)
        else:
            changes.setdefault(layer, Change()).parts[part] = tensor.float()
    if strange or not changes:
        raise InputError(f"{path}: {_some(strange, len(tensors))} not those of a LoRA that can be added")
    config = _config(path)
    for layer, change in changes.items():
        if ("down" in change.parts) != ("up" in change.parts):
            raise InputError(f"{path}: layer {layer!r} has half of a low-rank change; expected lora_A and lora_B")
        change.scale = _scale(layer, change, config)
    return changes


def _parsed(name: str, original: bool) -> tuple[str, str | None]:
    """Diffusers' name of a tensor's layer, and which part of a change the tensor is."""
    name = name.replace(".default.", ".")
    ending = next((ending for ending in PARTS if name.endswith(f".{ending}")), None)
    if ending is None:
        return name, None
    layer = name.removesuffix(f".{ending}")
    for prefix in PREFIXES:
        layer = layer.removeprefix(prefix)
    if original:
        for pattern, dotted in KOHYA:
            layer = re.sub(pattern, dotted, layer).removesuffix(".")
        (layer,) = convert_wan_transformer_to_diffusers({f"{layer}.weight": None})
        layer = layer.removesuffix(".weight")
    return layer, PARTS[ending]


def _config(path: Path) -> Mapping[str, Any]:
    """Rank and alphas as peft has them: from the file itself, as diffusers writes it, or from beside it, as peft does."""
    try:
        with safe_open(path, "pt") as file:
            packed = (file.metadata() or {}).get(METADATA)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
    if packed is not None:
        return {key.removeprefix("transformer."): value for key, value in json.loads(packed).items()}
    if path.name == PEFT_FILE:
        config: Mapping[str, Any] = read_json(path.with_name(PEFT_CONFIG))
        return config
    return {}


def _scale(layer: str, change: Change, config: Mapping[str, Any]) -> float:
    """alpha / rank, by the tensor or by peft's configuration; 1 where nobody says, as in diffusers."""
    if not change.rank:
        return 1.0
    if "alpha" in change.parts:
        return float(change.parts["alpha"]) / change.rank
    patterns = config.get("alpha_pattern") or {}
    own = [value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", layer)]
    alpha = own[0] if own else config.get("lora_alpha", change.rank)
    return float(alpha) / (change.rank**0.5 if config.get("use_rslora") else change.rank)


@torch.no_grad()
def add_lora(model: nn.Module, changes: Mapping[str, Change], path: Path) -> None:
    """Add changes to the weights of a transformer, in fp32, layer by layer.

    Raises:
        InputError: names fit no layer (lists some), or a change is of another size.
    """
    check_lora(model, changes, path)
    for layer, change in changes.items():
        module: Any = model.get_submodule(layer)
        parts = change.parts
        if change.rank:
            low_rank = parts["up"].flatten(1) @ parts["down"].flatten(1)
            _add(module.weight, change.scale * low_rank.view(module.weight.shape))
        if "weight" in parts:
            _add(module.weight, parts["weight"])
        if "bias" in parts:
            _add(module.bias, parts["bias"])
        if "up_bias" in parts:
            _add(module.bias, change.scale * parts["up_bias"])


def _add(weight: Tensor, change: Tensor) -> None:
    weight.copy_(weight.float() + change.to(weight.device))


def check_lora(model: nn.Module, changes: Mapping[str, Change], path: Path) -> None:
    """InputError where changes do not fit the layers of a transformer: lists some names, or says which size is another."""
    modules = dict(model.named_modules())
    if unknown := [layer for layer in changes if getattr(modules.get(layer), "weight", None) is None]:
        raise InputError(f"{path}: {_some(unknown, len(changes))} of no layer of the backbone")
    for layer, change in changes.items():
        weight, parts = modules[layer].weight, change.parts
        found = (len(parts["up"]), *parts["down"].shape[1:]) if change.rank else parts.get("weight", weight).shape
        if tuple(found) != tuple(weight.shape):
            raise InputError(
                f"{path}: the change of {layer!r} is for a weight of {list(found)}, the backbone's is"
                f" {list(weight.shape)}: a LoRA for a model of another size"
            )
        if {"bias", "up_bias"} & parts.keys() and getattr(modules[layer], "bias", None) is None:
            raise InputError(f"{path}: a change of the bias of {layer!r}, which has none")


def _some(names: list[str], count: int) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} of {count} names ({shown}) are"


@torch.no_grad()
def start_lora(transformer: nn.Module, changes: Mapping[str, Change], path: Path) -> None:
    """Let the low-rank layers of a network that learns start from changes; ranks that these lack start at no change.

    Raises:
        InputError: they fit no such layer, are of another size or of a larger rank, or are not low-rank alone.
    """
    check_lora(transformer, changes, path)
    learning: dict[str, Any] = {name: layer for name, layer in transformer.named_modules() if hasattr(layer, "lora_A")}
    known = {name for name, change in changes.items() if change.parts.keys() <= LOW_RANK} & learning.keys()
    if other := sorted(changes.keys() - known):
        raise InputError(f"{path}: {_some(other, len(changes))} of what does not learn here; expected `backbone.lora`")
    for name, change in changes.items():
        (down,), (up,) = (list(layers.values()) for layers in (learning[name].lora_A, learning[name].lora_B))
        if change.rank > len(down.weight):
            raise InputError(f"{path}: layer {name!r} has rank {change.rank}; expected at most rank={len(down.weight)}")
        down.weight[: change.rank] = change.parts["down"]
        up.weight[:, : change.rank] = change.scale * change.parts["up"]
