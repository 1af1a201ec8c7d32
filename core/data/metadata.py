"""The one metadata table every reader gives and everything else takes: one row an image.

| column    | type    | missing | meaning                                                        |
|-----------|---------|---------|----------------------------------------------------------------|
| image_id  | str     | never   | unique, whatever its case; also the stem of the picture's file |
| lesion_id | str     | never   | photos of one lesion share it, and are never split             |
| dx        | str     | never   | one of CODES, the same for all photos of a lesion              |
| dx_type   | str     | may be  | how dx was established, one of DX_TYPES; never a model input   |
| age_years | float64 | NaN     | 0 to 120                                                       |
| sex       | str     | may be  | one of SEXES                                                   |
| site      | str     | may be  | one of SITES                                                   |
| source    | str     | may be  | the dataset the row came from                                  |
| image_path| str     | may be  | absolute; facts without their picture are a normal state       |
"""

from collections.abc import Collection
from typing import Final

import pandas as pd

from core.data.facts import MAX_AGE_YEARS, SEXES, SITES
from core.errors import MetadataError
from core.labels import CODES

COLUMNS: Final = (
    "image_id",
    "lesion_id",
    "dx",
    "dx_type",
    "age_years",
    "sex",
    "site",
    "source",
    "image_path",
)
REQUIRED: Final = ("image_id", "lesion_id", "dx")
DX_TYPES: Final = ("histo", "follow_up", "consensus", "confocal")

# An index of this name holds the rows of the file itself, so that refusals can point into it.
ROW_INDEX: Final = "row"
FIRST_ROW: Final = 2


def validate_metadata(table: pd.DataFrame, *, source_name: str) -> pd.DataFrame:
    """Return the table with exactly COLUMNS, in order, typed, indexed from 0; `attrs` are kept.

    source_name: the file or dataset to name in refusals.

    Rows in refusals count as a spreadsheet does (the header is row 1). They are taken from the index where
    it is named "row", else from the position.

    Raises:
        MetadataError: a required column or value is missing, the table has no rows, an image_id comes twice
            or cannot name a file, a value is outside its vocabulary, or one lesion has two diagnoses.
    """
    if absent := [column for column in REQUIRED if column not in table.columns]:
        raise MetadataError(
            f"{source_name} lacks the column{'s' * (len(absent) > 1)} {', '.join(absent)}; "
            f"expected {', '.join(REQUIRED)}."
        )
    if table.empty:
        raise MetadataError(f"{source_name} has no rows; expected one row an image.")
    typed = _typed(table, source_name)
    for column in REQUIRED:
        _refuse(typed, typed[column].isna(), source_name, column, "a value; it is empty")
    # Ids become file names in caches and exports: one that climbs out of its folder is refused here, once.
    unsafe = typed["image_id"].str.contains(r"[/\\\x00-\x1f\x7f]|^\.{1,2}$", regex=True)
    _refuse(typed, unsafe, source_name, "image_id", "a plain name without path separators")
    # Ids that differ only in case would be one file on many disks.
    twice = typed["image_id"].str.casefold().duplicated()
    _refuse(typed, twice, source_name, "image_id", "each image once; this one came before")
    _refuse_unknown(typed, source_name, "dx", CODES)
    _refuse_unknown(typed, source_name, "dx_type", DX_TYPES)
    _refuse_unknown(typed, source_name, "sex", SEXES)
    _refuse_unknown(typed, source_name, "site", SITES)
    bad_age = typed["age_years"].notna() & ~typed["age_years"].between(0, MAX_AGE_YEARS)
    _refuse(typed, bad_age, source_name, "age_years", f"0 to {MAX_AGE_YEARS:.0f} years, or nothing")
    _refuse_torn_lesions(typed, source_name)
    return typed.reset_index(drop=True)


def _typed(table: pd.DataFrame, source_name: str) -> pd.DataFrame:
    rows = table.index if table.index.name == ROW_INDEX else pd.RangeIndex(FIRST_ROW, FIRST_ROW + len(table))
    typed = table.reindex(columns=list(COLUMNS)).set_axis(rows, axis="index")
    ages = pd.to_numeric(typed["age_years"], errors="coerce").astype("float64")
    no_number = typed["age_years"].notna() & ages.isna()
    _refuse(typed, no_number, source_name, "age_years", "a number, or nothing")
    typed["age_years"] = ages
    text_columns = [column for column in COLUMNS if column != "age_years"]
    return typed.astype(dict.fromkeys(text_columns, pd.StringDtype(na_value=float("nan"))))


def _refuse_unknown(table: pd.DataFrame, source_name: str, column: str, values: Collection[str]) -> None:
    unknown = table[column].notna() & ~table[column].isin(list(values))
    _refuse(table, unknown, source_name, column, f"one of {', '.join(values)}")


def _refuse(table: pd.DataFrame, wrong: pd.Series, source_name: str, column: str, expected: str) -> None:
    """Raise for the first row where `wrong` holds, and say how many more there are."""
    if not wrong.any():
        return
    row = wrong.idxmax()
    value = table.loc[wrong, column].iloc[0]
    more = int(wrong.sum()) - 1
    others = f" ({more} more row{'s' * (more > 1)} like it)" if more else ""
    # Text in quotes shows its blanks; a number goes without, or NumPy would add the name of its type.
    shown = "empty" if pd.isna(value) else repr(value) if isinstance(value, str) else str(value)
    raise MetadataError(f"{source_name}, row {row}: {column} is {shown}; expected {expected}.{others}")


def _refuse_torn_lesions(table: pd.DataFrame, source_name: str) -> None:
    first = table.groupby("lesion_id")["dx"].transform("first")
    torn = table["dx"] != first
    if not torn.any():
        return
    row = torn.idxmax()
    lesion, dx = table.loc[torn, ["lesion_id", "dx"]].iloc[0]
    other = first[torn].iloc[0]
    raise MetadataError(
        f"{source_name}, row {row}: lesion {lesion!r} has dx {dx!r} here and {other!r} before; "
        "expected one diagnosis a lesion."
    )
