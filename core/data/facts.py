"""What may be known of a patient besides the picture: age, sex, site. Unknown is a value like any other."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

SEXES: Final = ("female", "male")
SITES: Final = (
    "abdomen",
    "acral",
    "back",
    "chest",
    "ear",
    "face",
    "foot",
    "genital",
    "hand",
    "lower extremity",
    "neck",
    "scalp",
    "trunk",
    "upper extremity",
)
MAX_AGE_YEARS: Final = 120.0
FACTS: Final = ("age", "sex", "site")


@dataclass(frozen=True)
class Facts:
    """One patient's facts; None is unknown.

    Raises:
        ValueError: an age outside 0 to 120 years, or a sex or site that is not in SEXES or SITES.
    """

    age_years: float | None = None
    sex: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        if self.age_years is not None and not 0 <= self.age_years <= MAX_AGE_YEARS:
            raise ValueError(f"age_years is {self.age_years}; expected 0 to {MAX_AGE_YEARS:.0f} or None.")
        if self.sex is not None and self.sex not in SEXES:
            raise ValueError(f"sex is {self.sex!r}; expected one of {SEXES} or None.")
        if self.site is not None and self.site not in SITES:
            raise ValueError(f"site is {self.site!r}; expected one of {SITES} or None.")


def encode_facts(facts: Iterable[Facts]) -> np.ndarray:
    """Return facts as numbers for a network, shape (N, 3), float32.

    Columns: age in years, index into SEXES, index into SITES; NaN is unknown.
    """
    rows = [
        (
            np.nan if one.age_years is None else one.age_years,
            np.nan if one.sex is None else SEXES.index(one.sex),
            np.nan if one.site is None else SITES.index(one.site),
        )
        for one in facts
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, 3)


def encode_metadata(metadata: pd.DataFrame) -> np.ndarray:
    """Return the facts of a metadata table, shape (N, 3); see `encode_facts`."""
    columns = [
        metadata["age_years"].to_numpy(dtype=np.float32, na_value=np.nan),
        _indices(metadata["sex"], SEXES),
        _indices(metadata["site"], SITES),
    ]
    return np.stack(columns, axis=1)


def _indices(column: pd.Series, values: tuple[str, ...]) -> np.ndarray:
    positions = column.map({value: float(index) for index, value in enumerate(values)})
    return positions.to_numpy(dtype=np.float32, na_value=np.nan)
