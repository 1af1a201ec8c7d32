"""What stands around an answer: the picture's quality, whether it was seen before, what was not used.

What needs a local dataset is absent, with a word, where there is none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core import words
from core.data.inspection import stored_inspection
from core.data.likeness import Likenesses, Neighbour
from core.data.masks import find_masks
from core.data.pictures import downscaled, read_picture
from core.data.splits import lesion_groups
from core.errors import LesionLensError
from core.labels import BY_CODE
from core.models.reference import parse_reference
from core.predict.features import checkpoint_extractor, stored_features
from core.predict.picture_quality import Concern, assess
from core.predict.sightings import Sighting, find_sighting
from core.settings import settings
from pages.ui import cache, inputs, notices, placing
from pages.ui.inputs import Asked

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint
    from core.predict.predictor import Prediction

SHOWN: Final = 6
_THUMBNAIL_PX: Final = 320


def draw_picture_notes(checkpoint: "Checkpoint", prediction: "Prediction", asked: Asked) -> None:
    """Draw, below the picture: what is odd about it, whether it was seen before, what was not used."""
    # What was refused has its own reasons: advice on the light of a page of print would be noise.
    if prediction.unknown.known:
        concerns = _concerns(asked.digest, checkpoint.manifest.preprocessing.size, asked.pixels)
        for line in words.quality(concerns):
            st.warning(line, icon=":material/blur_on:")
    _draw_sighting(checkpoint, asked)
    with st.expander("What was not used", icon=":material/visibility_off:"):
        for line in words.not_used(prediction.facts, uses_facts=checkpoint.manifest.uses_facts):
            st.markdown(f"- {line}")
        st.caption(words.base_rates(checkpoint.manifest.class_frequencies))


def draw_similar(checkpoint: "Checkpoint", asked: Asked, features: np.ndarray) -> None:
    """Draw the lesions of the local dataset that look most alike to the network, with their diagnoses.

    features: of the picture asked about, (K,).
    """
    with st.expander("Similar lesions of the local dataset", icon=":material/grid_view:") as panel:
        del panel
        folder, _ = inputs.offered()
        if folder is None:
            st.caption("There is no local dataset to compare with.")
            return
        try:
            found = _similar(folder, checkpoint, asked, features)
        except LesionLensError as problem:
            notices.refuse(problem)
            return
        if found is None:
            st.caption(
                "The network has not looked at the dataset yet. The map on the Explore page starts that; it "
                "takes minutes, once."
            )
            return
        table = cache.dataset(folder).set_index("image_id")
        _draw_cases(table, found)


def _draw_cases(table: pd.DataFrame, found: tuple[Neighbour, ...]) -> None:
    rows = table.loc[[one.image_id for one in found]]
    counted = rows["dx"].value_counts()
    spelled = ", ".join(f"{count} {BY_CODE[str(code)].name.lower()}" for code, count in counted.items())
    st.caption(
        f"The {len(found)} lesions that look most alike to this network, each once: {spelled}. Alike to the "
        "network is not alike to a dermatologist, and the network learned from most of them."
    )
    with st.grid(3, min_column_width=130, gap="small"):
        for one, code, path in zip(found, rows["dx"], rows["image_path"], strict=True):
            try:
                pixels = read_picture(Path(path), name=one.image_id).pixels
            except LesionLensError as problem:
                st.caption(notices.plain(str(problem)))
                continue
            st.image(
                downscaled(pixels, max_side_px=_THUMBNAIL_PX),
                caption=f"{words.short_name(code)} · {one.likeness:.2f}",
                width="stretch",
                alt=f"{one.image_id}: {BY_CODE[code].name}, likeness {one.likeness:.2f}",
            )


def _draw_sighting(checkpoint: "Checkpoint", asked: Asked) -> None:
    folder, synthetic = inputs.offered()
    # Of a picture that was picked from a dataset, its place is said already.
    if synthetic or not asked.size_bytes or asked.image_id is not None:
        return
    if folder is None:
        st.caption(
            ":material/history: Whether the model has met this picture before was not checked: the dataset "
            "is not on this machine."
        )
        return
    try:
        found = _sighting(folder, checkpoint.folder, checkpoint.reference, asked.digest, asked)
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    if found is not None and found.part == "train":
        st.warning(words.sighting(found), icon=":material/history:")
    else:
        st.caption(f":material/history: {words.sighting(found)}")


@st.cache_data(ttl=cache.KEEP_PICTURES, max_entries=64, show_spinner=False)
def _concerns(digest: str, input_px: int, _pixels: np.ndarray) -> tuple[Concern, ...]:  # noqa: ARG001
    return assess(_pixels, input_px=input_px)


@st.cache_data(ttl=cache.KEEP_PICTURES, max_entries=64, show_spinner="Looking for the picture …")
def _sighting(folder: Path, checkpoint: Path, reference: str, digest: str, _asked: Asked) -> Sighting | None:
    table = cache.dataset(folder)
    parts = placing.split(str(folder), table, checkpoint, parse_reference(reference))
    return find_sighting(
        table,
        None if parts is None else parts.set_axis(table.index),
        _asked.pixels,
        file_digest=digest,
        size_bytes=_asked.size_bytes,
        name=_asked.name,
        inspection=_inspection(folder),
    )


def _inspection(folder: Path) -> pd.DataFrame | None:
    table = cache.dataset(folder)
    masks = find_masks(folder, table["image_id"].tolist())
    return stored_inspection(table, cache_dir=settings().cache_dir, masks=masks)


def _similar(
    folder: Path, checkpoint: "Checkpoint", asked: Asked, features: np.ndarray
) -> tuple[Neighbour, ...] | None:
    likenesses = _likenesses(folder, checkpoint.folder, checkpoint.reference)
    if likenesses is None:
        return None
    groups = _groups(folder)
    return likenesses.like(features, groups[groups.index != Path(asked.name).stem], SHOWN)


@st.cache_resource(ttl="30m", max_entries=2, show_spinner=False)
def _groups(folder: Path) -> pd.Series:
    table = cache.dataset(folder)
    return lesion_groups(table).set_axis(pd.Index(table["image_id"]))


@st.cache_resource(ttl="5m", max_entries=1, show_spinner="Preparing the comparison …")
def _likenesses(folder: Path, checkpoint: Path, reference: str) -> Likenesses | None:
    found = stored_features(
        cache.dataset(folder), checkpoint_extractor(checkpoint, reference), cache_dir=settings().cache_dir
    )
    return None if found is None else Likenesses(found)
