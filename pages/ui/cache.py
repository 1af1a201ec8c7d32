"""What is loaded once and shared by all sessions. Everything here is bounded, and heavy imports are late.

Pictures that people bring stay in these caches, in memory, for at most KEEP_PICTURES.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.changes import Applied
from core.data.no_lesions import NO_LESIONS, draw_no_lesion
from core.data.pictures import Picture, read_picture
from core.data.readers import read_dataset
from core.data.synthetic import draw_lesion
from core.errors import EvaluationError
from core.evaluate.artifact import METRICS_FILE, Evaluation
from core.evaluate.gathering import evaluation_folders, read_evaluation
from core.heap import leave_out_of_collection, share_heaps
from core.models.catalog import MANIFEST_FILE
from core.settings import settings

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


def evaluation(folder: Path) -> Evaluation:
    """Return an evaluation artifact as it lies there now; shared, so not to be changed.

    Raises:
        EvaluationError: the artifact is incomplete or altered.
    """
    return _evaluation(folder, stamp(folder / METRICS_FILE))


@st.cache_resource(ttl="10m", max_entries=32, show_spinner="Reading the evaluation …")
def _evaluation(folder: Path, written: int) -> Evaluation:  # noqa: ARG001 -- a key of the cache
    return read_evaluation(folder)


def measured(references: Collection[str]) -> Iterator[tuple[Path, Evaluation]]:
    """Yield the evaluations that are here of a checkpoint, with their folders; broken ones are left out.

    references: every name that the checkpoint has or had.
    """
    for folder in evaluation_folders(settings().runs_dir):
        with suppress(EvaluationError):
            found = evaluation(folder)
            if found.checkpoint in references:
                yield folder, found


def stamp(file: Path) -> int:
    """Return when a file was written, ns; 0 without it. A run that goes on writes its results anew."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=32, show_spinner=False)
def drawing(kind: str, seed: int) -> np.ndarray:
    """Return a drawn lesion or one of NO_LESIONS, uint8, shape (H, W, 3); shared, so not to be changed."""
    return draw_no_lesion(kind, seed) if kind in NO_LESIONS else draw_lesion(seed, kind=kind)


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


def checkpoint(folder: Path, reference: str) -> "Checkpoint":
    """Return a checkpoint as it lies there now, loaded and verified once for all sessions.

    Raises:
        CheckpointError: it is incomplete, altered, or made for other labels.
    """
    return _checkpoint(folder, reference, stamp(folder / MANIFEST_FILE))


def forget_checkpoints() -> None:
    """Let go of the checkpoints that are loaded."""
    _checkpoint.clear()


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint …")
def _checkpoint(folder: Path, reference: str, written: int) -> "Checkpoint":  # noqa: ARG001 -- a key
    from core.models.checkpoint import load_checkpoint

    share_heaps()
    leave_out_of_collection("torch")
    return load_checkpoint(folder, reference=reference)


@st.cache_resource(ttl=KEEP_PICTURES, max_entries=32, show_spinner="Looking at the picture …")
def look(
    identity: str,  # noqa: ARG001 -- of the checkpoint: the key of the cache, with the digest
    digest: str,  # noqa: ARG001
    _checkpoint: "Checkpoint",
    _pixels: np.ndarray,
) -> "Look":
    """Return what the network of a checkpoint makes of a picture, facts aside: the one pass through it."""
    from core.predict.predictor import look as look_at

    return look_at(_checkpoint, _pixels)


@st.cache_resource(ttl=KEEP_PICTURES, max_entries=8, show_spinner="Looking at the variants …")
def variants(
    identity: str,  # noqa: ARG001 -- of the checkpoint: the key, with the digest and what is applied
    digest: str,  # noqa: ARG001
    _checkpoint: "Checkpoint",
    _pixels: np.ndarray,
    applied: tuple[Applied, ...],
) -> "tuple[Look, ...]":
    """Return what the network of a checkpoint makes of variants of a picture: one batch."""
    from core.predict.whatif import look_at_variants

    return look_at_variants(_checkpoint, _pixels, applied)
