"""What decoded clips show, by a CLIP (Radford et al. 2021): how well frames fit the prompt, and how steady they are.

T frames, H x W pixels, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from interdiff.errors import InputError

TOGETHER = 32
"""Frames that are looked at together."""


@dataclass(frozen=True)
class TextAndPictures:
    """CLIP: features of length 1 of texts and of pictures, which are alike where these fit each other."""

    model: Any
    tokenizer: Any
    pictures: Any

    @torch.no_grad()
    def of_text(self, prompt: str) -> Tensor:
        """Features [D] of a prompt, cut where it is too long for the model."""
        most = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer([prompt], truncation=True, max_length=most, return_tensors="pt").to(self.model.device)
        found = self.model.get_text_features(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
        return F.normalize(found.pooler_output[0].float(), dim=-1)

    @torch.no_grad()
    def of_frames(self, video: np.ndarray) -> Tensor:
        """Features [T, D] of frames [T, H, W, 3] uint8."""
        parts = []
        for first in range(0, len(video), TOGETHER):
            pixels = self.pictures(list(video[first : first + TOGETHER]), return_tensors="pt").pixel_values
            parts.append(self.model.get_image_features(pixel_values=pixels.to(self.model.device)).pooler_output)
        return F.normalize(torch.cat(parts).float(), dim=-1)


def load_clip(folder: Path, device: torch.device) -> TextAndPictures:
    """A CLIP from a folder in transformers' layout, safetensors only; InputError where the folder does not hold one."""
    try:
        model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        pictures = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a CLIP in transformers' layout ({error})") from error
    return TextAndPictures(model.to(device).eval(), tokenizer, pictures)


def content(video: np.ndarray, prompt: str, clip: TextAndPictures) -> dict[str, float]:
    """Figures of a clip [T, H, W, 3] uint8.

    clip_score: mean cosine of frames and prompt; background_consistency: mean cosine, at least 0, of each frame with the one
    before and with the first one; temporal_flickering: 1 minus the mean absolute difference of consecutive frames, of 255.
    The last two are VBench's (Huang et al. 2024, section 3.2.1), of 1 where nothing changes.
    """
    frames = clip.of_frames(video)
    before, first = ((frames[1:] * other).sum(-1).clamp_min(0) for other in (frames[:-1], frames[:1]))
    changes = [np.abs(later.astype(float) - earlier).mean() for earlier, later in pairwise(video)]
    return {
        "clip_score": float((frames @ clip.of_text(prompt)).mean()),
        "background_consistency": float((before + first).mean() / 2),
        "temporal_flickering": float(1 - np.mean(changes) / 255),
    }
