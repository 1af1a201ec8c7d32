"""The names of augmented copies: how they are made, and how a table's copies are told from its originals.

HAM10000's ids are one block without gaps, so "the old id plus 1" would be another patient's picture. A copy
bears its original's name with a suffix: ISIC_0024306_aug03.
"""

import re
from typing import Final

import pandas as pd

_COPY: Final = r"^(?P<original>.+)_aug(?P<number>\d{2,})$"
_MATCH: Final = re.compile(_COPY)


def copy_id(image_id: str, number: int) -> str:
    """Return the name of a picture's n-th copy, counted from 1."""
    return f"{image_id}_aug{number:02d}"


def originals_of(metadata: pd.DataFrame) -> pd.Series:
    """Return the image id of the original of each row that is an augmented copy, missing for all others.

    A copy bears the suffix, and its original is in the table and of the same lesion: a name that only looks
    like one is no copy.
    """
    image_ids = metadata["image_id"].astype("str")
    # Most tables have none, and need no regular expression over each name.
    if not image_ids.str.contains("_aug", regex=False).any():
        return pd.Series(pd.NA, index=metadata.index, dtype="str", name="original")
    original = image_ids.str.extract(_COPY)["original"].astype("str")
    lesion_of = dict(zip(image_ids, metadata["lesion_id"], strict=True))
    known = original.map(lesion_of) == metadata["lesion_id"]
    return original.where(known).rename("original")


def original_id(image_id: str) -> str:
    """Return the name that a copy's name was made from; any other name as it is."""
    match = _MATCH.match(image_id)
    return match["original"] if match else image_id
