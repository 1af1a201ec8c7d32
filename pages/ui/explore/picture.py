"""One picture of a dataset, large: its facts, siblings, place in the split, and what can be asked of it.

Which picture is open lives in the address, so a link opens it too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.facets import label_of
from core.data.facts import SEXES, SITES
from core.data.masks import draw_outline, read_mask, share_inside
from core.data.pictures import downscaled, read_picture
from core.data.splits import lesion_groups
from core.data.thumbnails import OUTLINE
from core.errors import LesionLensError, PictureError
from core.labels import BY_CODE
from core.words import percent
from pages.ui import notices, placing
from pages.ui.explore import looking, tiles
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored
from pages.ui.frame import PAGES

OPEN: Final = "explore_open"
LIKE: Final = "explore_like"
_OUTLINED: Final = "explore_picture_outline"
_NEIGHBOURS: Final = 6

LARGE_PX: Final = 1600
"""More than a dialog shows. The pictures that are kept have 8 MB each at most, whatever a camera made."""


def put(image_id: str | None) -> None:
    """Write into the address which picture is open; None is none. For callbacks."""
    if image_id is None:
        st.query_params.pop(OPEN, None)
    else:
        st.query_params[OPEN] = image_id


def like(dataset: Dataset) -> str | None:
    """Return the image id that pictures are compared with; None if the address names none of this dataset."""
    return _known(dataset, LIKE)


def draw_opened(explored: Explored, order: Sequence[str]) -> None:
    """Open the dialog of the picture that the address names, if it names one.

    order: the image ids to go through with "previous" and "next".
    """
    if not st.query_params.get(OPEN):
        return
    if _known(explored.dataset, OPEN) is None:
        asked = notices.plain(st.query_params[OPEN][:60])
        st.warning(f"This dataset has no picture {asked}.", icon=":material/image_search:")
        put(None)
        return
    _dialog(explored, order)


def _known(dataset: Dataset, parameter: str) -> str | None:
    asked = st.query_params.get(parameter)
    return asked if asked is not None and (dataset.table["image_id"] == asked).any() else None


@st.dialog("Picture", width="large", icon=":material/image:", on_dismiss=lambda: put(None))
def _dialog(explored: Explored, order: Sequence[str]) -> None:
    image_id = _known(explored.dataset, OPEN)
    if image_id is None:
        st.rerun()
    table = explored.dataset.table
    row = table[table["image_id"] == image_id].iloc[0]
    _draw_steps(image_id, order)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _draw_large(explored.dataset, row)
    with right:
        _draw_facts(explored, row)
        _draw_actions(explored, row)
    _draw_siblings(explored, row)
    _draw_neighbours(explored, row)


def _draw_steps(image_id: str, order: Sequence[str]) -> None:
    """Draw the way to the neighbours in the gallery's order; the arrow keys go it too."""
    at = order.index(image_id) if image_id in order else None
    before = order[at - 1] if at else None
    after = order[at + 1] if at is not None and at + 1 < len(order) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{notices.plain(image_id)}**")
        if at is not None:
            st.caption(f"{at + 1:,} of {len(order):,}")
        st.space("stretch")
        with st.container(horizontal=True, gap="small", width="content"):
            for name, icon, key, target in (
                ("Previous", ":material/chevron_left:", "Left", before),
                ("Next", ":material/chevron_right:", "Right", after),
            ):
                st.button(
                    name,
                    key=f"explore_{name.lower()}",
                    icon=icon,
                    shortcut=key,
                    disabled=target is None,
                    on_click=put,
                    args=(target,),
                )


def _draw_large(dataset: Dataset, row: pd.Series) -> None:
    image_id = str(row["image_id"])
    if pd.isna(row["image_path"]):
        st.info("Its picture is not here, only its facts.", icon=":material/image_not_supported:")
        return
    try:
        pixels = _large(str(row["image_path"]))
    except PictureError as problem:
        notices.refuse(problem, icon=":material/broken_image:")
        return
    mask_file = looking.masks_of(dataset).get(image_id)
    alt = tiles.alt(row)
    if mask_file is not None and st.toggle("Lesion outline", key=_OUTLINED, bind="query-params"):
        try:
            mask = read_mask(mask_file, pixels.shape[:2])
            pixels = draw_outline(pixels, mask, colour=OUTLINE, thickness_px=max(2, pixels.shape[1] // 250))
            alt += f"; the lesion's mask covers {percent(share_inside(mask))} of the picture"
        except PictureError as problem:
            notices.refuse(problem)
    st.image(pixels, width="stretch", alt=alt)


@st.cache_resource(ttl="15m", max_entries=4, show_spinner=False)
def _large(path: str) -> np.ndarray:
    """Return the pixels of a dataset's picture, no side over LARGE_PX; shared, so not to be changed."""
    pixels = read_picture(Path(path), name=Path(path).name).pixels
    return downscaled(pixels, max_side_px=LARGE_PX)


def _draw_facts(explored: Explored, row: pd.Series) -> None:
    diagnosis = BY_CODE[str(row["dx"])]
    if diagnosis.malignant:
        st.badge("malignant", icon=":material/warning:", color="red")
    else:
        st.badge("benign", color="gray")
    # Not a heading: those are smaller than the text in a dialog.
    st.markdown(f"**{diagnosis.name}**")
    if explored.reader.name == "patient":
        st.caption(diagnosis.plain_name)
    age = None if pd.isna(row["age_years"]) else f"{row['age_years']:g} years"
    shown = {
        "Established by": _word(row, "dx_type"),
        "Age": age,
        "Sex": _word(row, "sex"),
        "Site": _word(row, "site"),
        "Lesion": str(row["lesion_id"]),
        "Source": _word(row, "source"),
    }
    lines = [f"{name}: **{notices.plain(value or 'unknown')}**" for name, value in shown.items()]
    st.markdown("  \n".join(lines))
    st.caption(_place(explored.dataset, row))


def _word(row: pd.Series, column: str) -> str | None:
    return None if pd.isna(row[column]) else label_of(column, str(row[column]))


def _place(dataset: Dataset, row: pd.Series) -> str:
    """Say where the picture lies in the default checkpoint's split, or in the one a training would make."""
    icon = ":material/call_split:"
    own = looking.split(dataset)
    if own is not None:
        _, reference = looking.checkpoint()
        return placing.say(reference, str(own[str(row["image_id"])]))
    if "split" in row.index and not pd.isna(row["split"]):
        part = label_of("split", str(row["split"]))
        return (
            f"{icon} The default checkpoint was trained on other data. A training on this dataset with "
            f"seed 0 would put it into its **{part}** part."
        )
    return f"{icon} This dataset has no split."


def _draw_actions(explored: Explored, row: pd.Series) -> None:
    image_id = str(row["image_id"])
    if not pd.isna(row["image_path"]):
        predict = PAGES["Predict"]
        # Explore has offered this folder to Predict, for this session.
        st.page_link(
            predict.script,
            label="Ask the model",
            icon=predict.icon,
            query_params={"picture": "dataset", "image_id": image_id, **_asked_facts(explored, row)},
            help="Opens the Predict page with this picture and its recorded facts.",
        )
        if st.button(
            "Find similar",
            key="explore_similar",
            icon=":material/image_search:",
            help="Sorts the gallery by likeness to this picture.",
            on_click=_compare_with,
            args=(image_id,),
        ):
            st.rerun()


def _asked_facts(explored: Explored, row: pd.Series) -> dict[str, str]:
    """Return what the Predict page reads from its address: the reader, and the facts as far as known."""
    query = {"reader": explored.reader.name}
    if not pd.isna(row["age_years"]):
        query["patient_age"] = f"{row['age_years']:.0f}"
    if row["sex"] in SEXES:
        query["patient_sex"] = str(row["sex"])
    if row["site"] in SITES:
        query["patient_site"] = str(row["site"])
    return query


def _compare_with(image_id: str) -> None:
    """Turn to the gallery, sorted by likeness to a picture; for callbacks, in the map's dialog too."""
    wanted = {"view": "Gallery", "explore_show": "Pictures", "explore_sort": "likeness", "explore_page": 1}
    for key, value in wanted.items():
        # Streamlit warns of a value that is set where there is a default, even if it is the same.
        if st.session_state.get(key) != value:
            st.session_state[key] = value
    # In one go: it is one step of the browser's history.
    st.query_params.update({LIKE: image_id, OPEN: []})


def _draw_siblings(explored: Explored, row: pd.Series) -> None:
    """Draw the other photos of the lesion, those under another lesion id among them."""
    table = explored.dataset.table
    groups = _groups(explored.dataset.key, len(table), table)
    rows = table[groups == groups[table["image_id"] == row["image_id"]].iloc[0]]
    if len(rows) == 1:
        st.caption("The only photo of its lesion.")
        return
    st.markdown(f"**{len(rows)} photos of this lesion**")
    if rows["lesion_id"].duplicated().sum() < len(rows) - 1:
        st.caption(
            "Some carry another lesion id: they are known duplicates (Abhishek et al., Scientific Data "
            "2025), and are kept on one side of every split."
        )
    tiles.draw(
        [tiles.Group(rows, marked=str(row["image_id"]))],
        key="explore_siblings",
        label="Photos of this lesion",
        masks={},
        opened=put,
    )


@st.cache_resource(ttl="30m", max_entries=4, show_spinner=False)
def _groups(key: str, length: int, _table: pd.DataFrame) -> pd.Series:  # noqa: ARG001 -- the key of the cache
    return lesion_groups(_table)


def _draw_neighbours(explored: Explored, row: pd.Series) -> None:
    """Draw the most alike pictures of other lesions, where features are there."""
    image_id = str(row["image_id"])
    dataset = explored.dataset
    try:
        found = looking.features(dataset)
        if found is None or image_id not in found.index:
            return
        groups = _groups(dataset.key, len(dataset.table), dataset.table)
        lesions = groups.set_axis(pd.Index(dataset.table["image_id"]))
        near = looking.likenesses(dataset, found).neighbours(image_id, lesions, _NEIGHBOURS)
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    rows = dataset.table.set_index("image_id", drop=False).loc[[one.image_id for one in near]]
    same = int(np.sum(rows["dx"] == row["dx"]))
    st.markdown("**Looks most alike to the model**")
    st.caption(
        f"One picture each of {len(near)} other lesions, by the features of "
        f"{notices.plain(found.extractor)}; {same} of {len(near)} have the same diagnosis. In the corner: "
        "the cosine between the features."
    )
    notes = {one.image_id: f"{one.likeness:.2f}".replace("-", "−") for one in near}
    tiles.draw(
        [tiles.of_picture(one, note=notes[str(one["image_id"])]) for _, one in rows.iterrows()],
        key="explore_neighbours",
        label="Pictures of other lesions that look alike",
        masks={},
        opened=put,
    )
