"""A dataset's distributions as a table of counts: facts that may be given away, without pictures or ids.

A row says: so many lesions, with so many photos each, have these facts. Photos of one lesion can disagree.
Such a lesion takes several rows, one below the other, each for some of its photos: rows whose `images` are
fewer than `lesions` × `images_per_lesion` are parts of the same lesions until the parts add up. So nothing is
lost, and `expand_counts` gives back a metadata table in which every count, however crossed, is the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from core.data.metadata import FIRST_ROW, validate_metadata
from core.errors import MetadataError
from core.files import replacing

_TYPES: Final[Mapping[str, Literal["str", "float64", "int64"]]] = {
    "dx": "str",
    "dx_type": "str",
    "age_years": "float64",
    "sex": "str",
    "site": "str",
    "images_per_lesion": "int64",
    "images": "int64",
    "lesions": "int64",
}
COLUMNS: Final = tuple(_TYPES)
FACT_COLUMNS: Final = COLUMNS[:5]
COUNT_COLUMNS: Final = COLUMNS[5:]

BUNDLED_COUNTS: Final = Path(__file__).parents[1] / "bundled" / "facts" / "ham10000_counts.csv"
BUNDLED_SOURCE: Final = "ham10000"


def count_facts(metadata: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of a metadata table: COLUMNS, sorted by facts; missing as in the table.

    The same pictures give the same counts, whatever the order of their rows.
    """
    # "" and -1 stand for missing while sorting, which None would stop; no age is negative.
    facts = metadata[list(FACT_COLUMNS)].fillna(
        {column: -1.0 if column == "age_years" else "" for column in FACT_COLUMNS}
    )
    photos: defaultdict[str, Counter[tuple[str | float, ...]]] = defaultdict(Counter)
    for lesion_id, fact in zip(metadata["lesion_id"], facts.itertuples(index=False, name=None), strict=True):
        photos[lesion_id][fact] += 1
    alike = Counter(tuple(sorted(parts.items())) for parts in photos.values())
    rows = []
    for parts, lesions in sorted(alike.items()):
        images_per_lesion = sum(images for _, images in parts)
        for fact, images in parts:
            values = (None if value in ("", -1) else value for value in fact)
            rows.append((*values, images_per_lesion, images * lesions, lesions))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict(_TYPES))


def expand_counts(counts: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return a metadata table with these counts: made-up ids, no pictures.

    Raises:
        MetadataError: a row's counts do not fit together, or a fact is none a metadata table can have.
    """
    numbers = counts[list(COUNT_COLUMNS)].to_numpy(dtype=np.int64)
    rows: list[int] = []
    lesion_ids: list[str] = []
    lesion = 0
    for parts, lesions in _lesions(numbers, source):
        for _ in range(lesions):
            lesion += 1
            for row, photos in parts:
                rows += [row] * photos
                lesion_ids += [f"fact-lesion-{lesion:05d}"] * photos
    facts = counts[list(FACT_COLUMNS)].iloc[rows].reset_index(drop=True)
    ids = [f"fact-{image:05d}" for image in range(1, len(rows) + 1)]
    table = facts.assign(image_id=ids, lesion_id=lesion_ids, source=source)
    return validate_metadata(table, source_name=source)


def _lesions(numbers: np.ndarray, source: str) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Yield lesions that are alike: (row, photos of one lesion in it) for each of their rows, and how many.

    numbers: COUNT_COLUMNS, shape (rows, 3).
    """
    parts: list[tuple[int, int]] = []
    begun = (0, 0)
    for row, (photos, images, lesions) in enumerate(numbers.tolist()):
        here = f"{source}, row {row + FIRST_ROW}"
        if min(photos, images, lesions) < 1 or images % lesions or images > photos * lesions:
            raise MetadataError(
                f"{here}: {images} images of {lesions} lesions with {photos} images each cannot be; expected "
                "the same number of images for each lesion."
            )
        if parts and (photos, lesions) != begun:
            raise MetadataError(
                f"{here}: the lesions of the row above are not complete; expected their rest."
            )
        begun = (photos, lesions)
        parts.append((row, images // lesions))
        found = sum(images_of_one for _, images_of_one in parts)
        if found > photos:
            raise MetadataError(
                f"{here}: its lesions have {found} images with the rows above; expected {photos}."
            )
        if found == photos:
            yield parts, lesions
            parts = []
    if parts:
        raise MetadataError(f"{source} ends before the lesions of its last row are complete.")


def read_counts(path: Path) -> pd.DataFrame:
    """Return the counts in a CSV file.

    Raises:
        MetadataError: it cannot be read, lacks a column, or a number is none.
    """
    try:
        counts = pd.read_csv(path, dtype=dict(_TYPES), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as problem:
        raise MetadataError(f"{path.name} cannot be read as a table of counts: {problem}") from problem
    if absent := [column for column in COLUMNS if column not in counts.columns]:
        raise MetadataError(f"{path.name} lacks {', '.join(absent)}; expected {', '.join(COLUMNS)}.")
    return counts[list(COLUMNS)]


def write_counts(counts: pd.DataFrame, path: Path) -> None:
    """Write counts as CSV, whole or not at all; the same counts give the same bytes.

    Raises:
        MetadataError: the file cannot be written.
    """
    ages = ["" if np.isnan(age) else np.format_float_positional(age, trim="-") for age in counts["age_years"]]
    text = counts.assign(age_years=ages).to_csv(index=False, lineterminator="\n")
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8", newline="")
    except OSError as problem:
        raise MetadataError(f"{path} cannot be written: {problem.strerror}.") from problem


def bundled_counts() -> pd.DataFrame:
    """Return the counts of HAM10000 that come with the code."""
    return read_counts(BUNDLED_COUNTS)


def bundled_facts() -> pd.DataFrame:
    """Return HAM10000's facts as a metadata table with made-up ids and no pictures."""
    return expand_counts(bundled_counts(), source=BUNDLED_SOURCE)
