"""What a folder of Wan says of itself: diffusers' configuration, from its own or from original Wan's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.files import read_json

CONFIG = "config.json"
CLASS, ORIGINAL_CLASS = "WanTransformer3DModel", "WanModel"
UMT5_WIDTH = 4096
"""What original Wan's configuration leaves out."""
CHANNELS = 16


def wan_config(folder: Path) -> dict[str, Any]:
    """Diffusers' configuration of the transformer in a folder.

    Raises:
        InputError: there is none, or it is of another model: an image-to-video one, say.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder}: not a Wan transformer: no {CONFIG}, diffusers' or original Wan's, beside its weights"
        )
    config = read_json(path)
    kind = config.get("_class_name") if isinstance(config, dict) else None
    if kind not in (CLASS, ORIGINAL_CLASS):
        raise InputError(f"{path}: not a Wan transformer: _class_name {kind!r}; expected {CLASS}, or {ORIGINAL_CLASS}")
    try:
        converted = _of_original(config) if kind == ORIGINAL_CLASS else dict(config)
        check_channels(converted["in_channels"], converted["out_channels"], path)
    except KeyError as error:
        raise InputError(f"{path}: not a Wan transformer: no key {error}") from error
    if converted.get("image_dim") is not None:
        raise InputError(f"{path}: an image-to-video model; expected text-to-video")
    return converted


def check_channels(found: int, made: int, path: Path) -> None:
    """InputError that says what a model of other channels is."""
    if made != CHANNELS:
        raise InputError(f"{path}: a model of latents of {made} channels (Wan2.2-TI2V-5B has 48); expected {CHANNELS}")
    if found != CHANNELS:
        raise InputError(f"{path}: an image-to-video model of {found} channels; expected text-to-video of {CHANNELS}")


def _of_original(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_layers": config["num_layers"],
        "num_attention_heads": config["num_heads"],
        "attention_head_dim": config["dim"] // config["num_heads"],
        "ffn_dim": config["ffn_dim"],
        "freq_dim": config["freq_dim"],
        "text_dim": config.get("text_dim", UMT5_WIDTH),
        "patch_size": config.get("patch_size", [1, 2, 2]),
        "in_channels": config["in_dim"],
        "out_channels": config["out_dim"],
        "eps": config.get("eps", 1e-6),
    }
