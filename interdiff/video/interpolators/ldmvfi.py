"""LDMVFI (Danier et al. 2024), the middle of two pictures: its own checkout, github.com/danier97/LDMVFI, with its weights."""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from interdiff.errors import InputError

CONFIG = "configs/ldm/ldmvfi-vqflow-f32-c256-concat_max.yaml"
STEPS = 200
"""Of its DDIM sampler, the default of its scripts."""


class LDMVFI:
    """Its model and its sampler."""

    def __init__(self, model: Any, sampler: Any) -> None:
        self._model, self._sampler = model, sampler

    @torch.no_grad()
    def __call__(self, first: Tensor, last: Tensor) -> Tensor:
        """The middle of pictures [1, 3, H, W] in [-1, 1], as its evaluate.py and ldm/data/testsets.py make it."""
        device = next(self._model.parameters()).device
        pair = {"prev_frame": first.to(device), "next_frame": last.to(device)}
        with self._model.ema_scope():
            condition, before, after = self._model.get_learned_conditioning(pair)
            shape = (self._model.channels, *condition.shape[2:])
            z, _ = self._sampler.sample(
                conditioning=condition, batch_size=1, shape=shape, x_T=None, S=STEPS, eta=1.0, verbose=False
            )
            return self._model.decode_first_stage(z, pair, before, after).clamp(-1, 1).cpu()


def load_ldmvfi(folder: Path, checkpoint: Path, device: torch.device) -> LDMVFI:
    """Its model from a checkout and a file of weights, of which nothing but tensors is unpickled.

    Raises:
        InputError: one of them is missing, is not LDMVFI's, or needs a package that is not installed.
    """
    try:
        sys.path.insert(0, str(folder))
        config = yaml.safe_load((folder / CONFIG).read_text())["model"]
        model = import_module("ldm.util").instantiate_from_config(config)
        sampler = import_module("ldm.models.diffusion.ddim").DDIMSampler
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict(weights)
    except (ImportError, OSError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{folder}, {checkpoint}: not LDMVFI's checkout and its weights ({why})") from error
    finally:
        sys.path.remove(str(folder))
    model = model.to(device).eval()
    return LDMVFI(model, sampler(model))
