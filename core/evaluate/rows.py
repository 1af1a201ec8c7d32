"""Rows that were measured of models, from small CSV files: one reader for all of their tables.

A file may begin with lines of "# ", which say where it is from.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from core.errors import EvaluationError

_NOTE: Final = b"# "


def read_rows(
    path: Path,
    columns: Sequence[str],
    *,
    texts: Sequence[str],
    again: str,
    one_of: tuple[str, Sequence[str]],
    before: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return a file's rows.

    Args:
        path: the file. columns: those it must have; no others are returned.
        texts: columns that stay as they are written: a model may be called "run #2", "nan" or "001".
        again: what to do about a file that lacks a column, in words.
        one_of: a column and the only values that it may have.
        before: columns that older files lack, with what they would have held.

    Raises:
        EvaluationError: it cannot be read, lacks a column or holds another value, by name.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        while lines and lines[0].startswith(_NOTE):
            del lines[0]
        table = pd.read_csv(io.BytesIO(b"".join(lines)), dtype=str, keep_default_na=False)
        for column, value in (before or {}).items():
            if column not in table:
                table[column] = value
        if missing := [name for name in columns if name not in table]:
            raise EvaluationError(f"{path.name} lacks the columns {missing}; {again}.")
        numbers = {name: pd.to_numeric(table[name]) for name in columns if name not in texts}
    except (OSError, ValueError) as problem:
        raise EvaluationError(f"Cannot read {path}: {problem}.") from problem
    column, known = one_of
    if unknown := sorted(set(table[column]) - set(known)):
        raise EvaluationError(f"{path.name} has the {column}s {unknown}; expected {list(known)}.")
    return table.assign(**numbers)[list(columns)]


def last_of_each_model(
    files: Sequence[Path], read: Callable[[Path], pd.DataFrame], columns: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of several files as one table; of a model that several measured, the last file's."""
    of_model = {str(model): rows for file in files for model, rows in read(file).groupby("model", sort=False)}
    if not of_model:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(of_model.values(), ignore_index=True)
