"""What is loaded once and shared by all sessions. Everything here is bounded, and heavy imports are late.

Pictures that people bring stay in these caches, in memory, for at most KEEP_PICTURES.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.changes import Applied
from core.data.pictures import Picture, read_picture
from core.data.readers import read_dataset
from core.data.synthetic import draw_lesion
from core.evaluate.artifact import Evaluation
from core.evaluate.gathering import read_evaluation
from core.heap import share_heaps

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Look

KEEP_PICTURES: Final = "15m"


@st.cache_resource(ttl="10m", max_entries=2, show_spinner="Reading the dataset's table …")
def dataset(folder: Path) -> pd.DataFrame:
    """Return the metadata table of a local dataset; shared, so not to be changed.

    Raises:
        MetadataError: the folder holds no dataset that can be read.
    """
    return read_dataset(folder)


@st.cache_resource(ttl="10m", max_entries=32, show_spinner="Reading the evaluation …")
def evaluation(folder: Path) -> Evaluation:
    """Return an evaluation artifact; shared, so not to be changed.

    Raises:
        EvaluationError: the artifact is incomplete or altered.
    """
    return read_evaluation(folder)


@st.cache_resource(max_entries=32, show_spinner=False)
def drawing(kind: str, seed: int) -> np.ndarray:
    """Return a synthetic lesion, uint8, shape (H, W, 3); shared, so not to be changed."""
    return draw_lesion(seed, kind=kind)


@st.cache_resource(ttl=KEEP_PICTURES, max_entries=8, show_spinner=False)
def picture(
    digest: str,  # noqa: ARG001 -- the key of the cache
    _data: bytes,
    _name: str,
) -> Picture:
    """Return a decoded picture, by the digest of its bytes; shared, so not to be changed.

    Raises:
        PictureError: it is no picture, or one that is refused.
    """
    return read_picture(_data, name=_name)


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint …")
def checkpoint(folder: Path, reference: str) -> "Checkpoint":
    """Return a checkpoint, loaded and verified once for all sessions.

    Raises:
        CheckpointError: it is incomplete, altered, or made for other labels.
    """
    from core.models.checkpoint import load_checkpoint

    share_heaps()
    return load_checkpoint(folder, reference=reference)


@st.cache_resource(ttl=KEEP_PICTURES, max_entries=32, show_spinner="Looking at the picture …")
def look(
    folder: Path,  # noqa: ARG001 -- the key of the cache, with the digest
    digest: str,  # noqa: ARG001
    _checkpoint: "Checkpoint",
    _pixels: np.ndarray,
) -> "Look":
    """Return what the network of a checkpoint makes of a picture, facts aside: the one pass through it."""
    from core.predict.predictor import look as look_at

    return look_at(_checkpoint, _pixels)


@st.cache_resource(ttl=KEEP_PICTURES, max_entries=8, show_spinner="Looking at the variants …")
def variants(
    folder: Path,  # noqa: ARG001 -- the key of the cache, with the digest and what is applied
    digest: str,  # noqa: ARG001
    _checkpoint: "Checkpoint",
    _pixels: np.ndarray,
    applied: tuple[Applied, ...],
) -> "tuple[Look, ...]":
    """Return what the network of a checkpoint makes of variants of a picture: one batch."""
    from core.predict.whatif import look_at_variants

    return look_at_variants(_checkpoint, _pixels, applied)
