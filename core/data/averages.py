"""What the pictures of a diagnosis have in common, and where they differ: mean and variability."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from core.data.pictures import read_picture
from core.data.preprocessing import cover
from core.errors import PictureError
from core.jobs import Report
from core.labels import CODES

SIZE: Final = (90, 120)
"""Height and width, px: HAM10000's own 3:4. Nothing finer survives averaging."""

_THREADS: Final = 2
_BATCH: Final = 64


@dataclass(frozen=True)
class Average:
    """The pictures of one diagnosis as one.

    Attributes:
        mean: uint8 RGB, shape (90, 120, 3).
        spread: standard deviation of the pictures' brightness at each place, of 255, float32, (90, 120); NaN
            for a single picture.
        n: pictures that went in.
        n_lesions: lesions that they show.
        of: pictures of this diagnosis in the table, with or without a file.
    """

    mean: np.ndarray
    spread: np.ndarray
    n: int
    n_lesions: int
    of: int


def average_pictures(
    table: pd.DataFrame, *, most: int | None = None, report: Report | None = None
) -> dict[str, Average]:
    """Return the average of each diagnosis that has a readable picture, in the order of CODES.

    table: a metadata table. most: pictures of each diagnosis at most, evenly spread over the table, one a
    lesion as far as there are enough; None takes all.

    Memory does not grow with the number of pictures.
    """
    here = table[table["image_path"].notna()]
    chosen = {
        code: spread_out(rows, most or len(rows))
        for code, rows in here.groupby("dx", sort=False)
        if code in CODES
    }
    total, done = sum(map(len, chosen.values())), 0
    found: dict[str, Average] = {}
    for code in (code for code in CODES if code in chosen):
        moments = _Moments()
        lesions: set[str] = set()
        for lesion, pixels in _pictures(chosen[code]):
            done += 1
            if report is not None and (done % _BATCH == 0 or done == total):
                report(done, total, unit="pictures")
            if pixels is not None:
                moments.add(pixels)
                lesions.add(lesion)
        if moments.n:
            of = int((table["dx"] == code).sum())
            found[code] = Average(moments.mean(), moments.spread(), moments.n, len(lesions), of)
    return found


def spread_out(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return at most `count` rows, evenly spread; the first pictures of lesions before any second ones."""
    nth = rows.groupby("lesion_id").cumcount().to_numpy()
    order = np.argsort(nth, kind="stable")
    candidates = order[: max(count, int((nth == 0).sum()))]
    kept = np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(int)
    return rows.iloc[np.sort(candidates[kept])]


class _Moments:
    """Running sums, so that one picture at a time is in memory."""

    def __init__(self) -> None:
        self.n = 0
        self._sum = np.zeros((*SIZE, 3))
        self._brightness = np.zeros(SIZE)
        self._squares = np.zeros(SIZE)

    def add(self, pixels: np.ndarray) -> None:
        self.n += 1
        self._sum += pixels
        brightness = pixels.mean(axis=-1)
        self._brightness += brightness
        self._squares += brightness**2

    def mean(self) -> np.ndarray:
        return np.rint(self._sum / self.n).astype(np.uint8)

    def spread(self) -> np.ndarray:
        if self.n == 1:
            return np.full(SIZE, np.nan, dtype=np.float32)
        squared = (self._squares - self._brightness**2 / self.n) / (self.n - 1)
        return np.sqrt(np.maximum(squared, 0)).astype(np.float32)


def _pictures(rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield lesion id and pixels at SIZE of each row; None where the picture cannot be read."""
    lesions, paths = rows["lesion_id"].tolist(), rows["image_path"].tolist()
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(paths), _BATCH):
            part = slice(start, start + _BATCH)
            yield from zip(lesions[part], pool.map(_read, paths[part]), strict=True)


def _read(path: str) -> np.ndarray | None:
    try:
        return cover(read_picture(Path(path), name=Path(path).name).pixels, SIZE)
    except PictureError:
        return None


def largest_spread(averages: Mapping[str, Average]) -> float:
    """Return the largest variability anywhere, for a scale that all diagnoses share; 1 if there is none."""
    values = [float(np.nanmax(one.spread)) for one in averages.values() if one.n > 1]
    return max(values, default=1.0)
