"""Where a picture of a dataset lies in a checkpoint's own split: whether the model has learned from it."""

from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from core.errors import CheckpointError
from core.models.reference import Reference
from core.predict.placing import split_of_checkpoint
from pages.ui import notices

PLACES: Final = {
    "train": "in the **training** part: the model has learned from this very picture",
    "val": "in the **validation** part: it helped to choose epoch and thresholds, no weight",
    "test": "in the **test** part: the model has never learned from this lesion",
}


def split(key: str, table: pd.DataFrame, folder: Path, reference: Reference) -> pd.Series | None:
    """Return each picture's part of a checkpoint's split, by image id; None where that is of other data.

    key: tells one table from another. folder: of the checkpoint.
    """
    try:
        return _split(key, str(reference), len(table), table, folder)
    except CheckpointError:
        return None


def say(reference: Reference, part: str) -> str:
    """Return where a picture lies in a checkpoint's split, as Markdown."""
    return f":material/call_split: In the split of {_name(reference)}, {PLACES[part]}."


def say_unknown(reference: Reference) -> str:
    """Return that nobody can say whether the model has learned from a picture, as Markdown."""
    return (
        f":material/call_split: Whether {_name(reference)} has learned from this picture is not known: no "
        "split of it fits this dataset as it is here."
    )


def _name(reference: Reference) -> str:
    return notices.plain(Path(reference.name).name)


@st.cache_resource(ttl="30m", max_entries=4, show_spinner=False)
def _split(
    key: str,  # noqa: ARG001 -- with the next two, the key of the cache
    reference: str,  # noqa: ARG001
    length: int,  # noqa: ARG001
    _table: pd.DataFrame,
    _folder: Path,
) -> pd.Series | None:
    parts = split_of_checkpoint(_table, _folder)
    return None if parts is None else parts.set_axis(pd.Index(_table["image_id"]))
