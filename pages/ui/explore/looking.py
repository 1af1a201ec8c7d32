"""What a network sees in the explored pictures: features, likeness, places on a map. Shared by all."""

from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from core.data.likeness import Likenesses
from core.data.masks import find_masks
from core.data.projection import PROJECTIONS, Projected
from core.errors import CheckpointError
from core.jobs import silent
from core.models.catalog import bundled_names, folder_of
from core.models.reference import Reference, parse_reference
from core.predict.features import Extractor, Features, checkpoint_extractor, compute_features, stored_features
from core.settings import settings
from core.words import minutes
from pages.ui import jobs, placing
from pages.ui.explore.datasets import Dataset

_KEEP: Final = "30m"
# Measured with EfficientNet-Lite0 at 224 px on one core: 30 to 50 ms a picture, decoding included.
_LOOK_S: Final = 0.04


class _NotThere(Exception):
    """Raised so that an absence is not cached."""


def checkpoint() -> tuple[Path, Reference]:
    """Return the folder and the name of the checkpoint that looks at the pictures: the default one.

    A default that lies on the Hub is not pulled for this: the first bundled one stands in.

    Raises:
        CheckpointError: there is none.
    """
    reference = parse_reference(settings().default_checkpoint)
    if reference.kind == "hf" and bundled_names():
        reference = Reference("bundled", bundled_names()[0], None)
    return folder_of(reference), reference


def extractor() -> Extractor:
    """Return what makes the features of this page.

    Raises:
        CheckpointError: there is no checkpoint to look with.
    """
    folder, reference = checkpoint()
    return checkpoint_extractor(folder, str(reference))


def features(dataset: Dataset) -> Features | None:
    """Return the features of a dataset's pictures; None while they are not computed.

    Raises:
        CheckpointError, StoreError: they cannot be had.
    """
    by = extractor()
    try:
        return _features(dataset.key, by.key, len(dataset.table), dataset.table, by)
    except _NotThere:
        return None


def draw_features(dataset: Dataset, *, purpose: str) -> Features | None:
    """Return the features, or draw the job that computes them. purpose: what they are wanted for.

    Raises:
        CheckpointError, StoreError: they cannot be had.
    """
    found = features(dataset)
    if found is not None:
        return found
    by, cache_dir, table = extractor(), settings().cache_dir, dataset.table
    count = int(table["image_path"].notna().sum())
    jobs.draw(
        f"features:{dataset.key}:{by.key[:12]}",
        "Looking at the pictures",
        lambda report: compute_features(table, by, cache_dir=cache_dir, report=report),
        button=f"Look at {count:,} pictures",
        about=f"{purpose} needs one look of {by.name} at each picture: about {minutes(count * _LOOK_S)} on a "
        "CPU, once. It can be cancelled, and goes on later where it stopped.",
        on_disk=True,
    )
    # The job may have ended between the first look and this one.
    return features(dataset)


def likenesses(dataset: Dataset, found: Features) -> Likenesses:
    """Return the features of a dataset, ready for comparing."""
    return _likenesses(dataset.key, found.extractor, len(found.image_ids), found)


def projected(dataset: Dataset, found: Features, way: str) -> Projected | None:
    """Return where a dataset's pictures lie on the map; for a slow way, draw the job that finds it out.

    way: one of PROJECTIONS.

    Raises:
        DataError: there are too few pictures.
    """
    projection = PROJECTIONS[way]
    if projection.slow:
        return jobs.draw(
            f"map:{way}:{dataset.key}:{found.extractor}:{len(found.image_ids)}",
            f"Arranging by {projection.title}",
            partial(projection.function, found.values),
            button=f"Arrange by {projection.title}",
            about=f"{len(found.image_ids):,} pictures take a minute or more; the page stays free meanwhile.",
        )
    return _projected(dataset.key, found.extractor, len(found.image_ids), way, found)


@st.cache_resource(ttl=_KEEP, max_entries=4, show_spinner="Looking for lesion masks …")
def masks(folder: Path, _image_ids: pd.Series) -> dict[str, Path]:
    """Return image id -> mask file of a dataset folder; shared, so not to be changed."""
    return find_masks(folder, _image_ids.tolist())


def masks_of(dataset: Dataset) -> dict[str, Path]:
    """Return image id -> mask file; empty where there are none."""
    return masks(dataset.folder, dataset.table["image_id"]) if dataset.folder is not None else {}


def split(dataset: Dataset) -> pd.Series | None:
    """Return each picture's part of the default checkpoint's own split, by image id; None if not its data."""
    try:
        return placing.split(dataset.key, dataset.table, *checkpoint())
    except CheckpointError:
        return None


@st.cache_resource(ttl=_KEEP, max_entries=4, show_spinner=False)
def _features(
    key: str,  # noqa: ARG001 -- with the next two, the key of the cache
    extractor_key: str,  # noqa: ARG001
    length: int,  # noqa: ARG001
    _table: pd.DataFrame,
    _extractor: Extractor,
) -> Features:
    found = stored_features(_table, _extractor, cache_dir=settings().cache_dir)
    if found is None:
        raise _NotThere
    return found


@st.cache_resource(ttl=_KEEP, max_entries=1, show_spinner="Preparing the comparison …")
def _likenesses(
    key: str,  # noqa: ARG001 -- with the next two, the key of the cache
    by: str,  # noqa: ARG001
    length: int,  # noqa: ARG001
    _features: Features,
) -> Likenesses:
    return Likenesses(_features)


@st.cache_resource(ttl=_KEEP, max_entries=4, show_spinner="Placing the pictures …")
def _projected(
    key: str,  # noqa: ARG001 -- with the next three, the key of the cache
    by: str,  # noqa: ARG001
    length: int,  # noqa: ARG001
    way: str,
    _features: Features,
) -> Projected:
    return PROJECTIONS[way].function(_features.values, silent)
