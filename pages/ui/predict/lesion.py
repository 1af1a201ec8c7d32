"""Where the lesion is, who says so, and its shape and colours: geometry that the model does not use."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core import words
from core.data.lesion_shape import MEASURES, measure_lesion
from core.data.masks import as_seen, draw_outline, find_masks, read_mask
from core.errors import LesionLensError
from core.heap import leave_out_of_collection
from pages.ui import cache, notices
from pages.ui.inputs import Asked
from pages.ui.predict.whatif import Question

if TYPE_CHECKING:
    from core.explain.lesion_mask import LesionMask
    from core.explain.trust import Place

OUTLINE: Final = (255, 214, 10)


@dataclass(frozen=True)
class Outlined:
    """A lesion's outline in the picture.

    mask: bool (H, W), of the picture's own size; None where none is known.
    source: as in `core.explain.trust.Place`. said: the same for whoever looks at the outline.
    problem: why nobody could look; None where somebody did.
    """

    mask: np.ndarray | None
    source: str
    said: str
    problem: LesionLensError | None = None


def draw(question: Question, code: str) -> None:  # noqa: ARG001 -- of no diagnosis in particular
    """Draw the outline and what is measured on it."""
    found = outlined(question.asked)
    st.badge("geometry, not used by the model", icon=":material/straighten:", color="gray")
    if found.mask is None:
        st.info(found.source, icon=":material/search_off:")
        st.caption(found.said)
        return
    seeing, reading = st.columns([2, 3], gap="large")
    with seeing:
        thickness_px = max(2, found.mask.shape[1] // 250)
        st.image(
            draw_outline(question.asked.pixels, found.mask, colour=OUTLINE, thickness_px=thickness_px),
            width="stretch",
            alt=f"The picture with the lesion's outline. {found.said}",
        )
        st.caption(found.said)
    with reading:
        _draw_measures(question.asked, found.mask)


def warn(asked: Asked) -> None:
    """Warn where no lesion is found.

    It is no reason to refuse an answer: together with the other reasons it would have refused more than 5 in
    100 of the validation pictures, and it added little on clinical photos.
    """
    found = outlined(asked)
    if found.problem is not None:
        notices.refuse(found.problem)
    elif found.mask is None:
        st.warning(
            "No lesion was found in this picture. If there is one, bring it into the middle and closer; if "
            "there is none, the answer means nothing.",
            icon=":material/search_off:",
        )


def place(question: Question) -> "Place":
    """Return where the lesion is in what the network saw, and who says so."""
    from core.explain.trust import Place

    found = outlined(question.asked)
    seen = None if found.mask is None else as_seen(found.mask, question.looked.seen.shape[:2])
    return Place(seen, found.source)


def outlined(asked: Asked) -> Outlined:
    """Return the lesion's outline: the dataset's own mask where there is one, else what our network finds."""
    true = _of_dataset(asked)
    if true is not None:
        return Outlined(true, "as the dataset's own mask has it", "The outline is the dataset's own mask.")
    try:
        found, dice = _found(asked.digest, asked.pixels)
    except LesionLensError as problem:
        return Outlined(
            None, "No mask of the lesion is known.", "The mask network could not be loaded.", problem
        )
    if not found.found:
        return Outlined(
            None,
            "The mask network finds no lesion in this picture.",
            "What it marked, if anything, is smaller or less sure than in 199 of 200 dermoscopic pictures.",
        )
    return Outlined(
        found.mask,
        "as our mask network finds it",
        f"The outline is our mask network's, on average {words.percent(found.certainty)} sure inside. On "
        f"HAM10000's test pictures its masks overlap with the true ones by a mean Dice of {dice:.2f}.",
    )


def _draw_measures(asked: Asked, mask: np.ndarray) -> None:
    measured = _measured(asked.digest, mask.tobytes(), asked.pixels, mask)
    st.table(
        {
            "measure": [one.title for one in MEASURES.values()],
            "value": [one.say(measured[name]) for name, one in MEASURES.items()],
            "what it is": [one.about for one in MEASURES.values()],
        },
        alt="Measures of the lesion's shape and colours",
    )
    st.caption("These describe the outline and say nothing of malignancy by themselves.")


@st.cache_data(ttl=cache.KEEP_PICTURES, max_entries=32, show_spinner=False)
def _measured(digest: str, outline: bytes, _pixels: np.ndarray, _mask: np.ndarray) -> dict[str, float]:  # noqa: ARG001
    return vars(measure_lesion(_pixels, _mask))


@st.cache_resource(ttl=cache.KEEP_PICTURES, max_entries=16, show_spinner="Looking for the lesion …")
def _found(digest: str, _pixels: np.ndarray) -> "tuple[LesionMask, float]":  # noqa: ARG001 -- the key
    from core.explain.lesion_mask import bundled_masks

    network = bundled_masks()
    leave_out_of_collection("segmentation models")
    return network.find(_pixels), network.manifest.dice


def _of_dataset(asked: Asked) -> np.ndarray | None:
    """Return the dataset's own mask of a picture that was picked from it; None where there is none.

    A name proves nothing: what somebody uploads under it may be cut or turned.
    """
    if asked.folder is None or asked.image_id is None:
        return None
    try:
        file = _masks(asked.folder, cache.dataset(asked.folder)["image_id"]).get(asked.image_id)
        return None if file is None else read_mask(file, asked.pixels.shape[:2])
    except LesionLensError as problem:
        notices.refuse(problem)
        return None


@st.cache_resource(ttl="30m", max_entries=2, show_spinner="Looking for lesion masks …")
def _masks(folder: Path, _image_ids: pd.Series) -> dict[str, Path]:
    return find_masks(folder, _image_ids.tolist())
