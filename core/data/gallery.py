"""The order of a gallery: sorted by a column or a number, kept together by lesion, a page at a time."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

LESIONS_A_PAGE: Final = 24
PICTURES_A_PAGE: Final = 96
"""A lesion of forty photos must not fill the memory of a phone: each page ends after this many."""

ORDERS: Final = {
    "image_id": "Image id",
    "lesion_id": "Lesion id",
    "dx": "Diagnosis",
    "dx_type": "How diagnosed",
    "age_years": "Age",
    "sex": "Sex",
    "site": "Site",
    "source": "Source",
    "photos": "Photos of the lesion",
}
"""What a gallery can be sorted by: column -> title. `photos` is counted here."""


@dataclass(frozen=True)
class Page:
    """One page of a gallery.

    Attributes:
        lesions: lesion id -> its rows (labels of the table's index), in order.
        number: which page, from 1.
        pages: how many there are.
        n_lesions: lesions on all pages.
        n_images: pictures on all pages.
    """

    lesions: dict[str, list[int]]
    number: int
    pages: int
    n_lesions: int
    n_images: int


def order_rows(table: pd.DataFrame, by: str, *, descending: bool = False) -> np.ndarray:
    """Return the positions of a table's rows in the order of a column of ORDERS; unknown values come last.

    Rows of equal value stay in order of image id.
    """
    key = photos_of_lesion(table) if by == "photos" else table[by]
    names = table["image_id"].to_numpy(dtype=object).argsort(kind="stable")
    if not pd.api.types.is_numeric_dtype(key):
        codes, _ = pd.factorize(key, sort=True)
        key = pd.Series(codes, dtype="float64").replace(-1.0, np.nan)
    return order_values(key.to_numpy(dtype=float), descending=descending, ties=names)


def order_values(values: np.ndarray, *, descending: bool, ties: np.ndarray | None = None) -> np.ndarray:
    """Return the positions that sort values (N,); NaN comes last either way. ties: positions in tie order."""
    ties = np.arange(len(values)) if ties is None else ties
    keyed = -values[ties] if descending else values[ties]
    return ties[np.argsort(keyed, kind="stable")]  # NumPy sorts NaN to the end


def photos_of_lesion(table: pd.DataFrame) -> pd.Series:
    """Return for each row how many rows of the table show its lesion."""
    return table.groupby("lesion_id")["lesion_id"].transform("size")


def page_of(table: pd.DataFrame, order: np.ndarray, number: int) -> Page:
    """Return a page of lesions: each stands where its first picture stands, with all its pictures.

    order: positions of the table's rows, from `order_rows` or `order_values`.
    number: the page asked for, from 1; one that does not exist becomes the nearest that does.
    """
    ordered = table["lesion_id"].to_numpy(dtype=object)[order]
    codes, names = pd.factorize(ordered)
    firsts = _page_starts(np.bincount(codes, minlength=len(names)))
    number = min(max(number, 1), len(firsts))
    first = firsts[number - 1]
    last = firsts[number] if number < len(firsts) else len(names)
    lesions: dict[str, list[int]] = {str(name): [] for name in names[first:last]}
    for at in np.flatnonzero((codes >= first) & (codes < last)):
        lesions[str(ordered[at])].append(table.index[order[at]])
    return Page(lesions, number, len(firsts), len(names), len(table))


def _page_starts(photos: np.ndarray) -> list[int]:
    """Return the first lesion of each page. photos: pictures of each lesion, in order."""
    starts, pictures = [0], 0
    for lesion, count in enumerate(photos.tolist()):
        full = lesion - starts[-1] == LESIONS_A_PAGE or pictures + count > PICTURES_A_PAGE
        if full and lesion > starts[-1]:
            starts.append(lesion)
            pictures = 0
        pictures += count
    return starts
