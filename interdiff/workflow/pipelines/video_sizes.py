"""The sizes of the video pipeline's clips and networks, by its configuration, and by model folders where these are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interdiff.files import read_json
from interdiff.video.backbone import sizes
from interdiff.video.backbone.settings import BackboneSettings
from interdiff.video.backbone.sizes import WanSize
from interdiff.video.backbone.wan_config import wan_config
from interdiff.video.data.settings import DataSettings
from interdiff.video.data.sizes import MINILM, UMT5_XXL, Clip, clip_of

SHEET = 12
"""Clips on a contact sheet."""


def encoder(data: DataSettings) -> Mapping[str, Any]:
    """The configuration of the text encoder: its folder's, and until that is there Wan's."""
    if data.text.folder is None:
        return MINILM
    path = Path(data.text.folder) / "config.json"
    return read_json(path) if path.exists() else UMT5_XXL


def clip(data: DataSettings) -> Clip:
    """The shape of clips."""
    return clip_of(data, encoder(data))


def backbone(settings: BackboneSettings, data: DataSettings) -> WanSize:
    """The size of a backbone: its folder's, and until that is there, or where it is trained here, that of `transformer`."""
    path = Path(settings.pretrained or "") / "config.json"
    if settings.pretrained and path.exists():
        config = read_json(path)
        own = isinstance(config, dict) and config.get("kind") == "backbone"
        return sizes.trained_here(config["model"]) if own else sizes.published(wan_config(path.parent))
    return sizes.of_settings(settings.transformer, clip(data), settings.pretrained is not None)
