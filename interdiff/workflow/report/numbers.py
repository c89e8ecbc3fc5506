"""Numbers as people read them: three significant digits, in decimals where these are short, and errors with two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

DIGITS, ERROR_DIGITS = 3, 2
SMALLEST, LARGEST = 1e-5, 1e6
"""What is smaller, or as large, is written in powers of ten."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Three significant digits, of 1000 and more all before the point; empty for what is missing."""
    if value is None or math.isnan(value):
        return ""
    if value == 0 or math.isinf(value):
        return f"{value + 0:g}"
    if not SMALLEST <= abs(value) < LARGEST:
        mantissa, exponent = f"{value:.{DIGITS - 1}e}".split("e")
        return f"{_short(mantissa)} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return _short(_decimals(value, max(0, DIGITS - 1 - _magnitude(value, DIGITS))))


def with_error(mean: float, error: float, signed: bool = False) -> str:
    """ "mean ± standard error": two significant digits of the error, and as many decimals of the mean."""
    if math.isnan(mean):
        return ""
    plus = "+" if signed and mean > 0 else ""
    if math.isnan(error):
        return plus + number(mean)
    if not SMALLEST <= error < LARGEST:
        return f"{plus}{number(mean)} ± {number(error)}"
    places = max(0, ERROR_DIGITS - 1 - _magnitude(error, ERROR_DIGITS))
    return f"{plus}{_decimals(mean, places)} ± {_decimals(error, places)}"


def with_errors(table: pd.DataFrame, figures: Sequence[str] | None = None) -> pd.DataFrame:
    """The table with "mean ± standard error" in place of figures that have a column `_se`, by default of all; without these."""
    figures = [name for name in table if f"{name}_se" in table] if figures is None else figures
    pairs = {name: zip(table[name].astype(float), table[f"{name}_se"].astype(float), strict=True) for name in figures}
    texts = {name: [with_error(*pair) for pair in both] for name, both in pairs.items()}
    return table.assign(**texts).drop(columns=[f"{name}_se" for name in figures])


def _magnitude(value: float, digits: int) -> int:
    """The exponent of the first digit, after rounding to so many."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])


def _decimals(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
