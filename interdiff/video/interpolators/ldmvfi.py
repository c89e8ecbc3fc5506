"""LDMVFI (Danier et al. 2024) as a rule in pixels: its own checkout, github.com/danier97/LDMVFI, with its published weights.

It makes the middle of two pictures; what lies elsewhere is the nearest of the middles found by halving, again and again.
"""

from __future__ import annotations

import pickle
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from interdiff.errors import InputError

CONFIG = "configs/ldm/ldmvfi-vqflow-f32-c256-concat_max.yaml"
STEPS = 200
"""Of its DDIM sampler, the default of its scripts."""


class LDMVFI:
    """Its model and its sampler, as `VideoInterpolator` says."""

    def __init__(self, model: Any, sampler: Any) -> None:
        self._model, self._sampler = model, sampler

    def __call__(self, first: np.ndarray, last: np.ndarray, times: np.ndarray) -> np.ndarray:
        ends = {0.0: _signed(first), 1.0: _signed(last)}
        levels = int(np.ceil(np.log2(len(times) + 1)))

        @cache
        def at(numerator: int, level: int) -> Tensor:
            if numerator % 2 == 0 and level:
                return at(numerator // 2, level - 1)
            if not level:
                return ends[float(numerator)]
            return self._middle(at((numerator - 1) // 2, level - 1), at((numerator + 1) // 2, level - 1))

        numerators = np.clip(np.round(times * 2**levels), 1, 2**levels - 1).astype(int).tolist()
        return np.stack([_picture(at(numerator, levels)) for numerator in numerators])

    @torch.no_grad()
    def _middle(self, first: Tensor, last: Tensor) -> Tensor:
        """Of pictures [1, 3, H, W] in [-1, 1], as its evaluate.py and ldm/data/testsets.py do it."""
        device = next(self._model.parameters()).device
        pair = {"prev_frame": first.to(device), "next_frame": last.to(device)}
        with self._model.ema_scope():
            condition, before, after = self._model.get_learned_conditioning(pair)
            shape = (self._model.channels, *condition.shape[2:])
            z, _ = self._sampler.sample(
                conditioning=condition, batch_size=1, shape=shape, x_T=None, S=STEPS, eta=1.0, verbose=False
            )
            return self._model.decode_first_stage(z, pair, before, after).clamp(-1, 1).cpu()


def _signed(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _picture(x: Tensor) -> np.ndarray:
    return ((x[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()


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
