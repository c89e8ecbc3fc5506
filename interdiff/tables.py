"""Tables: CSV files as pandas' frames, for what reads, joins or groups them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from interdiff.errors import InputError
from interdiff.files import atomic_path

MISSING = ["", "nan", "NA", "-"]
"""Cells without a number; the last two are Snakemake's, of jobs too short to measure."""


def read_table(path: str | Path, text: bool = False) -> pd.DataFrame:
    """Read a table: separated by commas, or by tabs if its name ends in .tsv.

    Args:
        text: keep every cell as it is written, to hand it on; by default columns of numbers are numbers, nan where a cell
            has none.

    Raises:
        InputError: the file is missing, has no header or is no table (names it).
    """
    cells = {"dtype": str, "na_filter": False} if text else {"na_values": MISSING}
    separator = "\t" if Path(path).suffix == ".tsv" else ","
    try:
        return pd.read_csv(path, sep=separator, index_col=False, keep_default_na=False, **cells)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error})") from error


def read_tables(paths: Iterable[str | Path], text: bool = False) -> pd.DataFrame:
    """The rows of tables, one after the other."""
    return pd.concat([read_table(path, text) for path in paths], ignore_index=True)


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table of text as `interdiff.files.write_csv` writes rows, atomically; what is missing stays empty."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
