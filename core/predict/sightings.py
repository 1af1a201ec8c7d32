"""Has the checkpoint seen this very picture, or this lesion, before? Asked of a local dataset.

A model that learned from a picture answers it better than it will answer a new one, so this is said beside
the answer. That a picture is not found means only that the dataset on this machine does not hold it.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

_ISIC_NAME: Final = re.compile(r"ISIC_\d{7}")


@dataclass(frozen=True)
class Sighting:
    """Where a picture was met.

    how: "file" (the same bytes), "pixels" (another file, the same pixels) or "name" (only the id agrees).
    part: of the checkpoint's split, "train", "val" or "test"; None when the split is of other data.
    siblings: other pictures of the lesion in the dataset.
    """

    image_id: str
    lesion_id: str
    how: str
    part: str | None
    siblings: int


def pixel_digest(pixels: np.ndarray) -> str:
    """Return what pictures of the same pixels share, as `core.data.inspection` stores it."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def find_sighting(
    table: pd.DataFrame,
    parts: pd.Series | None,
    pixels: np.ndarray,
    *,
    file_digest: str,
    size_bytes: int,
    name: str,
    inspection: pd.DataFrame | None = None,
) -> Sighting | None:
    """Return where a picture lies in a dataset; None where it does not.

    Args:
        table: a metadata table.
        parts: of each row in the checkpoint's split, in the order of the table; None if it is other data.
        pixels: uint8 RGB (H, W, 3), as `read_picture` gives them.
        file_digest: SHA-256 of the file. size_bytes: of the file. name: of the file.
        inspection: what `inspect_pictures` found in the table's pictures, if it ran: it knows their pixels.
    """
    for how, image_id in (
        ("file", _by_file(table, file_digest, size_bytes)),
        ("pixels", _by_pixels(inspection, pixels)),
        ("name", _by_name(table, name)),
    ):
        if image_id is not None:
            return _sighting(table, parts, image_id, how)
    return None


def _sighting(table: pd.DataFrame, parts: pd.Series | None, image_id: str, how: str) -> Sighting | None:
    here = np.flatnonzero(table["image_id"] == image_id)
    if len(here) == 0:
        return None
    row = table.iloc[int(here[0])]
    siblings = int((table["lesion_id"] == row["lesion_id"]).sum()) - 1
    part = None if parts is None else str(parts.iloc[int(here[0])])
    return Sighting(image_id, str(row["lesion_id"]), how, part, siblings)


def _by_file(table: pd.DataFrame, digest: str, size_bytes: int) -> str | None:
    """Only files of the same size are read: asking ten thousand for their size takes a tenth of a second."""
    pictured = table[table["image_path"].notna()]
    for image_id, path in zip(pictured["image_id"], pictured["image_path"], strict=True):
        try:
            alike = os.stat(path).st_size == size_bytes  # noqa: PTH116 -- ten thousand Path objects
            if alike and hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest:
                return str(image_id)
        except OSError:
            continue  # a picture that is gone cannot be this one
    return None


def _by_pixels(inspection: pd.DataFrame | None, pixels: np.ndarray) -> str | None:
    if inspection is None:
        return None
    same = inspection.index[inspection["pixel_digest"] == pixel_digest(pixels)]
    return str(same[0]) if len(same) else None


def _by_name(table: pd.DataFrame, name: str) -> str | None:
    found = _ISIC_NAME.search(name)
    return found[0] if found and (table["image_id"] == found[0]).any() else None
