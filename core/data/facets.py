"""What a metadata table can be filtered and counted by: each column as whole numbers, found once a table.

Add a column by adding one line to TITLES and, where its values have an order of their own, one to _ORDER.
"""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from core.data.facts import MAX_AGE_YEARS, SEXES, SITES
from core.data.metadata import DX_TYPES
from core.data.splits import SPLITS
from core.labels import BY_CODE, CODES

UNKNOWN: Final = "unknown"
"""The value that stands for a missing one."""

TITLES: Final[Mapping[str, str]] = {
    "dx": "Diagnosis",
    "dx_type": "Established by",
    "age_band": "Age",
    "sex": "Sex",
    "site": "Site",
    "source": "Source",
    "images_per_lesion": "Images per lesion",
    "split": "Split",
}
COLUMNS: Final = tuple(TITLES)

# Few people reach the last band, so it is the widest.
AGE_BAND_YEARS: Final = 10
_LAST_BAND_YEARS: Final = 90
AGE_BANDS: Final = (
    *(f"{low}-{low + AGE_BAND_YEARS - 1}" for low in range(0, _LAST_BAND_YEARS, AGE_BAND_YEARS)),
    f"{_LAST_BAND_YEARS}-{MAX_AGE_YEARS:.0f}",
)

_ORDER: Final[Mapping[str, tuple[str, ...]]] = {
    "dx": CODES,
    "dx_type": DX_TYPES,
    "age_band": AGE_BANDS,
    "sex": SEXES,
    "site": SITES,
    "split": SPLITS,
}
_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("dx_type", "histo"): "histopathology",
    ("dx_type", "follow_up"): "follow-up",
    ("dx_type", "consensus"): "expert consensus",
    ("dx_type", "confocal"): "confocal microscopy",
    ("split", "train"): "training",
    ("split", "val"): "validation",
}


def label_of(column: str, value: str) -> str:
    """Return a column's value as people read it: "nv" is "Melanocytic nevus", "20-29" is "20–29 years"."""
    if column == "dx" and value in BY_CODE:
        return BY_CODE[value].name
    if column == "age_band" and value in AGE_BANDS:
        return f"{value.replace('-', '–')} years"
    return _WORDS.get((column, value), value)


@dataclass(frozen=True)
class Facet:
    """One column as numbers.

    words: what the column can be, in the order to show it; UNKNOWN is last, and only where something is
        missing. Rows taken from a table keep the words of the whole table, so that axes stay in place.
    codes: the index into `words` of each row, shape (N,).
    """

    words: tuple[str, ...]
    codes: np.ndarray


@dataclass(frozen=True)
class Facets:
    """What filters and summaries need of N rows of a metadata table.

    columns: a facet for each of COLUMNS; a column the table lacks is UNKNOWN throughout.
    ages: years, NaN where unknown, shape (N,).
    lesions: a number for each row's lesion, below `lesion_count`, shape (N,).
    lesion_count: lesions of the whole table, whichever rows were taken.
    pictured: whether the row has a picture, shape (N,).
    image_ids: str objects, shape (N,).
    """

    columns: Mapping[str, Facet]
    ages: np.ndarray
    lesions: np.ndarray
    lesion_count: int
    pictured: np.ndarray
    image_ids: np.ndarray

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The position of each image id; found when first asked for."""
        return {name: row for row, name in enumerate(self.image_ids)}

    @classmethod
    def of(cls, rows: "pd.DataFrame | Facets") -> "Facets":
        """Return the facets of a metadata table, computed once for as long as that very object lives.

        The table must not be changed afterwards. `images_per_lesion` and `split` are taken from its columns
        of these names; without the first, photos are counted.
        """
        if isinstance(rows, Facets):
            return rows
        if (found := _KNOWN.get(id(rows))) is not None:
            return found[1]
        facets = _facets(rows)
        facets.belong_to(rows)
        return facets

    def belong_to(self, table: pd.DataFrame) -> None:
        """Let `Facets.of(table)` find these, until the table is gone."""
        key = id(table)
        # The entry goes before the table's memory is given back, so an id in here is never another table's.
        _KNOWN[key] = (weakref.ref(table, lambda _: _KNOWN.pop(key, None)), self)

    def take(self, mask: np.ndarray) -> "Facets":
        """Return the facets of the rows where mask, bool (N,), is true."""
        if mask.all():
            return self
        # Positions are found once; picking by them is several times faster than by a mask.
        rows = np.flatnonzero(mask)
        columns = {name: Facet(facet.words, facet.codes[rows]) for name, facet in self.columns.items()}
        return Facets(
            columns,
            self.ages[rows],
            self.lesions[rows],
            self.lesion_count,
            self.pictured[rows],
            self.image_ids[rows],
        )

    def __len__(self) -> int:
        return len(self.ages)


_KNOWN: Final[dict[int, tuple["weakref.ref[pd.DataFrame]", Facets]]] = {}


def _facets(table: pd.DataFrame) -> Facets:
    lesions, names = pd.factorize(table["lesion_id"])
    ages = table["age_years"].to_numpy(dtype=np.float64, na_value=np.nan)
    derived = {"age_band": _age_bands(ages), "images_per_lesion": _images_per_lesion(table, lesions)}
    columns = {
        name: derived[name] if name in derived else _facet(name, table.get(name), len(table))
        for name in COLUMNS
    }
    pictured = table["image_path"].notna().to_numpy(dtype=bool) if "image_path" in table else np.False_
    return Facets(
        columns,
        ages,
        lesions,
        len(names),
        np.broadcast_to(pictured, len(table)),
        table["image_id"].to_numpy(dtype=object),
    )


def _facet(name: str, column: pd.Series | None, length: int) -> Facet:
    if column is None:
        return Facet((UNKNOWN,), np.zeros(length, dtype=np.int32))
    found, present = pd.factorize(column)
    words = [str(word) or UNKNOWN for word in present]
    return _ordered(name, found, words, always=CODES if name == "dx" else ())


def _ordered(name: str, found: np.ndarray, words: list[str], *, always: Iterable[str] = ()) -> Facet:
    """Return a facet from indices into words, -1 where missing."""
    order = _ORDER.get(name, ())
    shown = {*words, *always} - {UNKNOWN}
    values = [value for value in order if value in shown]
    values += sorted(shown.difference(order))
    if UNKNOWN in words or (found < 0).any():
        values.append(UNKNOWN)
    index = {value: position for position, value in enumerate(values)}
    # Index -1 picks the last entry: the code of what is missing.
    codes_of = np.array([*(index[word] for word in words), index.get(UNKNOWN, -1)], dtype=np.int32)
    return Facet(tuple(values), codes_of[found])


def _age_bands(ages: np.ndarray) -> Facet:
    known = np.nan_to_num(ages, nan=-1)
    bands = np.minimum(known, _LAST_BAND_YEARS) // AGE_BAND_YEARS
    found = np.where(known < 0, -1, bands).astype(np.int32)
    # A band that nobody is in, between two that somebody is in, is shown: a gap is a finding.
    highest = int(found.max(initial=-1))
    return _ordered("age_band", found, list(AGE_BANDS[: highest + 1]))


def _images_per_lesion(table: pd.DataFrame, lesions: np.ndarray) -> Facet:
    if "images_per_lesion" in table:
        each = table["images_per_lesion"].to_numpy(dtype=np.int64)
    else:
        each = np.bincount(lesions)[lesions] if len(lesions) else lesions
    numbers, codes = np.unique(each, return_inverse=True)
    return Facet(tuple(str(number) for number in numbers), codes.astype(np.int32))
