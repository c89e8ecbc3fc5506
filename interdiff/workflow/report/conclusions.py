"""What a report begins with: sentences made from its numbers, with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interdiff.workflow.report.glossary import more_is_better
from interdiff.workflow.report.numbers import with_error

COUNT = 3
"""Sentences that a report begins with."""
CLEAR = 2
"""Standard errors that a difference must exceed to be called one."""


@dataclass(frozen=True)
class Compared:
    """A figure of ours and of what it is compared with, as (mean, standard error), and their difference, ours minus theirs."""

    figure: str
    ours: tuple[float, float]
    theirs: tuple[float, float]
    difference: tuple[float, float]

    def verdict(self) -> str:
        """What the difference says: better, worse, or nothing within two standard errors."""
        difference, error = self.difference
        values = f"({with_error(*self.ours)} against {with_error(*self.theirs)}; {with_error(*self.difference, signed=True)})"
        if math.isnan(error):
            return f"{self.figure} cannot be judged, for want of a standard error {values}"
        if abs(difference) <= CLEAR * error:
            return f"{self.figure} shows no difference {values}"
        gained = (difference > 0) == more_is_better(self.figure)
        return f"{self.figure} is {'better' if gained else 'worse'} {values}"


def sentence(subject: str, compared: Sequence[Compared]) -> list[str]:
    """One sentence on all figures that both sides have; none where they share none."""
    known = [item for item in compared if not math.isnan(item.difference[0])]
    return [f"{subject}: {joined([item.verdict() for item in known])}."] if known else []


def joined(parts: Sequence[str]) -> str:
    """Parts of a sentence: a, b and c."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def apart(figure: str, ours: tuple[float, float], theirs: tuple[float, float]) -> Compared:
    """Compared as if they were measured apart: of paired samples the error of the difference is at most a little too large."""
    difference = ours[0] - theirs[0], math.hypot(ours[1], theirs[1])
    return Compared(figure, ours, theirs, difference)


def mean_of(rows: pd.DataFrame, figure: str) -> tuple[float, float]:
    """Mean of a figure over rows measured apart, and its standard error, from the column `_se`."""
    errors = rows[f"{figure}_se"].to_numpy(float)
    return float(rows[figure].mean()), float(np.sqrt(np.square(errors).sum()) / len(rows)) if len(rows) else math.nan
