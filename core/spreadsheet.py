"""Tables as CSV for people's spreadsheets. Every table that a person saves is written here.

A spreadsheet runs a cell that begins with =, +, - or @ as a formula, and ids, sources and file names may come
from anywhere. Such a cell gets an apostrophe before it, which spreadsheets take for "this is text".
"""

import re
from collections.abc import Iterable
from typing import Final

import pandas as pd

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# A note is one line, but a spreadsheet cuts it into cells at these.
_CELL_IN_A_NOTE: Final = re.compile(r"([,;]\s*\"?)(?=[=+\-@])")


def to_csv(
    table: pd.DataFrame,
    *,
    notes: Iterable[str] = (),
    index: bool = False,
    float_format: str | None = None,
    guarded: bool = True,
) -> bytes:
    """Return a table as UTF-8 CSV; numbers are left as they are, also negative ones in a column of text.

    notes: what is said before the table, each on a line that begins with "# ".
    index: whether the index is the first column.
    guarded: False for what only programs read, to which an apostrophe would be a part of an id.
    """
    lines = [f"# {_CELL_IN_A_NOTE.sub(_apostrophe, ' '.join(note.split()))}\n" for note in notes]
    columns = table.reset_index() if index else table
    if guarded:
        columns = pd.DataFrame({guard(str(name)): _column(columns[name]) for name in columns})
    text = columns.to_csv(index=False, lineterminator="\n", float_format=float_format)
    # The mark at the beginning lets spreadsheets read names that are not ASCII.
    return ("".join(lines) + text).encode("utf-8-sig")


def guard(text: str) -> str:
    """Return a cell's text so that no spreadsheet runs it."""
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _apostrophe(cut: re.Match[str]) -> str:
    return f"{cut[1]}'"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # "-1_000" is a number to Python alone, and " -1" begins with no sign.
    return re.fullmatch(r"[+-][0-9.eE+-]+", text) is not None


def _column(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.astype(object).map(lambda value: guard(value) if isinstance(value, str) else value)
