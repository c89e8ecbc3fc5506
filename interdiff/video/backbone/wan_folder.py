"""Wan's transformer from a folder: diffusers' names or original Wan's, with or without ComfyUI's prefix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors import SafetensorError, safe_open
from torch import Tensor

from interdiff.errors import InputError
from interdiff.files import read_json
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.backbone.wan_config import CHANNELS, check_channels, wan_config

WEIGHTS = "diffusion_pytorch_model.safetensors"
PREFIX = "model.diffusion_model."
"""Before the transformer's names in files that hold other models, too."""
INPUT = "patch_embedding.weight"
IGNORED = "norm_added_q"
"""What published weights have and no model uses."""


def load_wan(folder: Path, device: torch.device) -> WanDenoiser:
    """A transformer from a folder of safetensors and config.json, in bf16 with the modules that Wan keeps in fp32.

    Raises:
        InputError: the folder does not hold one, holds another model, a LoRA, or not all of its weights.
    """
    config, files = wan_config(folder), weight_files(folder)
    with init_empty_weights(include_buffers=False):
        model = WanTransformer3DModel.from_config(config)
    tensors = {}
    for name, tensor in _tensors(folder, files):
        kept = set(name.split(".")) & set(model._keep_in_fp32_modules)
        tensors[name] = tensor.to(torch.float32 if kept else torch.bfloat16)
    _check(tensors, model.state_dict(), folder)
    model.load_state_dict(tensors, assign=True)
    return WanDenoiser(model, preconditioned=False).to(device).eval()


def weight_files(folder: Path) -> list[Path]:
    """The files of the weights: what the index lists, the one of diffusers' name, or the only one.

    Raises:
        InputError: none is there, or the index lists one that is not, or there are several of other names.
    """
    index, found = folder / f"{WEIGHTS}.index.json", sorted(folder.glob("*.safetensors"))
    if index.is_file():
        listed = [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
        if missing := [path.name for path in listed if not path.is_file()]:
            raise InputError(f"{folder}: partial weights: {', '.join(missing)} not there, which {index.name} lists")
        return listed
    if folder / WEIGHTS in found or len(found) == 1:
        return [folder / WEIGHTS if folder / WEIGHTS in found else found[0]]
    raise InputError(f"{folder}: {len(found)} files of weights (*.safetensors); expected {WEIGHTS}, or one alone")


def _tensors(folder: Path, files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    """Names of diffusers' and tensors, one by one."""
    try:
        opened = [safe_open(path, "pt") for path in files]
        names = [(name, file) for file in opened for name in file.keys()]  # noqa: SIM118, a file has no other way
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder}: not readable safetensors files ({error})") from error
    if any(name.startswith(PREFIX) for name, _ in names):
        names = [(name, file) for name, file in names if name.startswith(PREFIX)]
    original = any(".self_attn." in name for name, _ in names)
    for name, file in names:
        own = name.removeprefix(PREFIX)
        if original:
            (own,) = convert_wan_transformer_to_diffusers({own: None})
        if IGNORED not in own:
            yield own, file.get_tensor(name)


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], folder: Path) -> None:
    """InputError that says what a folder holds, where that is not one tensor for each of the model's."""
    if lora := [name for name in tensors if "lora_" in name]:
        raise InputError(f"{folder}: a LoRA ({lora[0]}); expected whole weights, to which backbone.lora adds one")
    if INPUT in tensors and (found := tensors[INPUT].shape[1]) != expected[INPUT].shape[1]:
        check_channels(found, CHANNELS, folder)
    if missing := sorted(expected.keys() - tensors.keys()):
        raise InputError(f"{folder}: partial weights: {_some(missing, expected)} not there")
    if strange := sorted(tensors.keys() - expected.keys()):
        raise InputError(f"{folder}: {_some(strange, tensors)} none of what its config.json describes")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            shapes = f"shape {list(tensor.shape)}; expected {list(expected[name].shape)}, by its config.json"
            raise InputError(f"{folder}: tensor {name!r} has {shapes}")


def _some(names: Sequence[str], of: Mapping[str, Tensor]) -> str:
    return f"{len(names)} of {len(of)} tensors ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}) are"
