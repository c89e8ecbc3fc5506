"""Progress with rate and time left, on a terminal and in a log."""

from __future__ import annotations

import re
import sys
from typing import Any

from tqdm import tqdm

PLAIN_INTERVAL = 10.0
"""Seconds between progress lines where stderr is not a terminal."""


class Progress(tqdm):
    """A progress bar on a terminal, and a line every few seconds elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._plain = not sys.stderr.isatty()
        if self._plain:
            kwargs |= {"mininterval": PLAIN_INTERVAL, "maxinterval": 3 * PLAIN_INTERVAL, "ncols": 110}
        super().__init__(*args, file=sys.stderr, dynamic_ncols=not self._plain, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or print it as a line of its own."""
        if not self._plain:
            return super().display(msg, pos)
        if self.n > self.initial:
            print(re.sub(r"\|.*\|", "", str(self), count=1) if msg is None else msg, file=sys.stderr, flush=True)
        return True
