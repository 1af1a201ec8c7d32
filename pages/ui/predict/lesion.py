"""Where the lesion is, who says so, and its shape and colours: geometry that the model does not use.

Drawn by hand, else the dataset's own, else what our network finds: whose it is stands beside it everywhere.
What a person draws stands in the address, with a mark of its picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.changes import Points
from core.data.drawn_masks import fill_outline, read_outlines, write_outlines
from core.data.lesion_shape import MEASURES, measure_lesion
from core.data.masks import as_seen, draw_outline, find_masks, read_mask
from core.data.pictures import downscaled
from core.errors import LesionLensError, OutlineError
from core.explain import spoken
from core.heap import leave_out_of_collection
from core.words import Reader
from pages.ui import cache, notices
from pages.ui.inputs import Asked
from pages.ui.predict import brush
from pages.ui.predict.whatif import SHOWN_PX, Question

if TYPE_CHECKING:
    from core.explain.lesion_mask import LesionMask
    from core.explain.trust import Place

OUTLINE: Final = (255, 214, 10)
_OUTLINES: Final = "outline"
_REFUSED: Final = "outline_refused"


@dataclass(frozen=True)
class Outlined:
    """A lesion's outline in the picture.

    mask: bool (H, W), of the picture's own size; None where none is known.
    whose: who says so, in the reader's words.
    problem: why nobody could look; None where somebody did.
    """

    mask: np.ndarray | None
    whose: spoken.Whose
    problem: LesionLensError | None = None


def draw(question: Question, code: str) -> None:  # noqa: ARG001 -- of no diagnosis in particular
    """Draw the outline and what is measured on it, and let a person draw another one."""
    found = outlined(question.asked, question.reader)
    st.badge("geometry, not used by the model", icon=":material/straighten:", color="gray")
    seeing, reading = st.columns([2, 3], gap="large")
    with seeing:
        by_hand = st.toggle(
            "Draw the outline by hand",
            key="draw_outline",
            bind="query-params",
            help="For this picture your outline then goes before every other one.",
        )
        if by_hand:
            _draw_brush(question.asked, found)
        elif found.mask is not None:
            st.image(
                _with_outline(question.asked.pixels, found.mask),
                width="stretch",
                alt=f"The picture with the lesion's outline. {found.whose.said}",
            )
        _draw_whose(question.asked, found)
    with reading:
        if found.mask is not None:
            _draw_measures(question, found.mask)
        else:
            st.info("Nothing can be measured without an outline.", icon=":material/straighten:")


def warn(asked: Asked, reader: Reader) -> None:
    """Warn where no lesion is found.

    It is no reason to refuse an answer: together with the other reasons it would have refused more than 5 in
    100 of the validation pictures, and it added little on clinical photos. Nor does an outline that a person
    draws make it go away.
    """
    found = _unaided(asked, reader)
    if found.problem is not None:
        notices.refuse(found.problem)
    elif found.mask is None:
        st.warning(
            "No lesion was found in this picture. If there is one, bring it into the middle and closer; if "
            "there is none, the answer means nothing.",
            icon=":material/search_off:",
        )


def place(question: Question, found: Outlined) -> "Place":
    """Return where the lesion is in what the network saw, and who says so."""
    from core.explain.trust import Place

    seen = None if found.mask is None else as_seen(found.mask, question.looked.seen.shape[:2])
    return Place(seen, found.whose.source)


def on_paper(asked: Asked, reader: Reader, outlines: tuple[Points, ...]) -> str:
    """Return what a report says of the outline: whose it is, and the shape that was measured on it.

    outlines: `drawn_here`, asked while the page was drawn: a report is made later, where no address is known.
    """
    found = _outlined(asked, reader, outlines)
    whose = f"Outline of the lesion (geometry, not used by the model): {found.whose.on_paper}."
    if found.mask is None:
        return whose
    measured = _measured(asked.digest, found.mask.tobytes(), asked.pixels, found.mask)
    said = (f"{one.title.lower()} {one.say(measured[name])}" for name, one in MEASURES.items())
    return f"{whose} Measured on it: {', '.join(said)}."


def outlined(asked: Asked, reader: Reader) -> Outlined:
    """Return the lesion's outline: drawn by hand, else the dataset's own, else what our network finds."""
    drawn = drawn_here(asked)
    try:
        return _outlined(asked, reader, drawn)
    except OutlineError as problem:
        # What a person draws is refused before it is kept: this came with the address.
        notices.refuse(problem)
        return _unaided(asked, reader)


def drawn_here(asked: Asked) -> tuple[Points, ...]:
    """Return the outlines that the address holds of this picture, the one that counts last."""
    return read_outlines(asked.digest, st.query_params.get(_OUTLINES, ""))


def _outlined(asked: Asked, reader: Reader, outlines: tuple[Points, ...]) -> Outlined:
    if not outlines:
        return _unaided(asked, reader)
    return Outlined(_filled(outlines[-1], asked.pixels.shape[:2]), spoken.DRAWN)


@st.cache_resource(ttl=cache.KEEP_PICTURES, max_entries=8, show_spinner=False)
def _filled(corners: Points, size_px: tuple[int, int]) -> np.ndarray:
    return fill_outline(corners, size_px)


def _unaided(asked: Asked, reader: Reader) -> Outlined:
    """Return the lesion's outline without a person's help."""
    true = _of_dataset(asked)
    if true is not None:
        return Outlined(true, spoken.of_dataset(reader))
    try:
        found, dice = _found(asked.digest, asked.pixels)
    except LesionLensError as problem:
        return Outlined(None, spoken.of_nobody(reader), problem)
    if not found.found:
        return Outlined(None, spoken.not_found(reader))
    return Outlined(found.mask, spoken.found_by_network(found.certainty, dice, reader))


def _draw_whose(asked: Asked, found: Outlined) -> None:
    """Say whose the outline is; of one that was drawn by hand let go of the last, or of all."""
    drawn = drawn_here(asked)
    if found.mask is None:
        st.info(found.whose.source, icon=":material/search_off:")
    st.caption(found.whose.said)
    if not drawn:
        return
    with st.container(horizontal=True):
        st.button(
            "Undo",
            icon=":material/undo:",
            key="outline_undo",
            on_click=_keep,
            args=(asked, drawn[:-1]),
            help="Back to the outline before this one.",
        )
        st.button(
            "Clear my outline",
            icon=":material/restart_alt:",
            key="outline_clear",
            on_click=_keep,
            args=(asked, ()),
            help="Back to the outline that nobody drew here.",
        )


def _draw_brush(asked: Asked, found: Outlined) -> None:
    shown = asked.pixels if found.mask is None else _with_outline(asked.pixels, found.mask)
    brush.draw(
        downscaled(shown, max_side_px=SHOWN_PX),
        key="outline_brush",
        digest=f"{asked.digest}|{st.query_params.get(_OUTLINES, '')}",
        label="Draw the lesion's outline",
        uses={"outline": "Use this outline"},
        marked=lambda _use, corners: _take(asked, corners),
        by_corners=True,
    )
    st.caption("Set corner after corner round the lesion. Without “Polygon”, a drag draws an oval.")
    refused = st.session_state.pop(_REFUSED, None)
    if refused is not None:
        notices.refuse(refused, icon=":material/gesture:")


def _take(asked: Asked, corners: Points) -> None:
    """Keep what a person drew, where it makes a mask."""
    try:
        _filled(corners, asked.pixels.shape[:2])
    except OutlineError as problem:
        st.session_state[_REFUSED] = problem
    else:
        _keep(asked, (*drawn_here(asked), corners))


def _keep(asked: Asked, outlines: tuple[Points, ...]) -> None:
    if outlines:
        st.query_params[_OUTLINES] = write_outlines(asked.digest, outlines)
    else:
        st.query_params.pop(_OUTLINES, None)


def _with_outline(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return draw_outline(pixels, mask, colour=OUTLINE, thickness_px=max(2, mask.shape[1] // 250))


def _draw_measures(question: Question, mask: np.ndarray) -> None:
    measured = _measured(question.asked.digest, mask.tobytes(), question.asked.pixels, mask)
    plainly = question.reader.name == "patient"
    st.table(
        {
            "measure": [one.title for one in MEASURES.values()],
            "value": [one.say(measured[name]) for name, one in MEASURES.items()],
            "what it is": [one.explain(plainly=plainly) for one in MEASURES.values()],
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
