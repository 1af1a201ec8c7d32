"""What the Predict page asks for: a picture from one of SOURCES, and the patient's facts."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core import words
from core.data.facts import MAX_AGE_YEARS, SEXES, SITES, Facts
from core.data.no_lesions import NO_LESIONS
from core.data.pictures import Picture
from core.errors import LesionLensError, PictureError
from core.labels import BY_CODE, CODES
from core.settings import settings
from pages.ui import cache, notices

UNKNOWN: Final = "unknown"
SEVERAL: Final = "several"
SUFFIXES: Final = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
_MAX_SEED: Final = 999
_OFFERED: Final = "offered_dataset"


@dataclass(frozen=True)
class Asked:
    """A picture to ask about.

    Attributes:
        pixels: uint8 RGB, shape (H, W, 3).
        digest: tells one picture from another; caches are keyed by it.
        alt: what a screen reader says.
        notes: what was done to it on the way in.
        synthetic: whether a program drew it.
        image_id: which picture of which dataset folder it is; None for one of nobody's.
        folder: that folder.
        name, size_bytes: of its file; empty for a drawing.
    """

    pixels: np.ndarray
    digest: str
    alt: str
    notes: tuple[str, ...] = ()
    synthetic: bool = False
    image_id: str | None = None
    folder: Path | None = None
    name: str = ""
    size_bytes: int = 0


def offer_dataset(folder: Path, *, synthetic: bool) -> None:
    """Let this person pick pictures of a dataset folder on the Predict page, instead of the configured one.

    synthetic: whether a program drew its pictures.
    """
    st.session_state[_OFFERED] = (folder, synthetic)


def offered() -> tuple[Path | None, bool]:
    """Return the dataset folder to pick from, if there is one, and whether its pictures are drawn."""
    return st.session_state.get(_OFFERED, (settings().data_dir, False))


def choose_source() -> str:
    """Ask where the picture shall come from: one of SOURCES, or SEVERAL."""
    default = next(iter(SOURCES))
    chosen = st.segmented_control(
        "Picture", [*SOURCES, SEVERAL], default=default, required=True, key="picture", bind="query-params"
    )
    return chosen or default


def choose_picture(source: str) -> Asked | None:
    """Ask for the picture and show it; None while there is none."""
    try:
        return SOURCES[source]()
    except LesionLensError as problem:
        notices.refuse(problem, icon=":material/broken_image:")
        return None


def ask_facts() -> Facts:
    """Ask for age, sex and site; each can stay unknown."""
    age = st.number_input(
        "Age in years",
        min_value=0,
        max_value=int(MAX_AGE_YEARS),
        value=None,
        step=5,
        placeholder=UNKNOWN,
        key="patient_age",
        bind="query-params",
        width=150,
    )
    sex = st.selectbox("Sex", [UNKNOWN, *SEXES], key="patient_sex", bind="query-params", width=120)
    site = st.selectbox("Site", [UNKNOWN, *SITES], key="patient_site", bind="query-params", width=155)
    return Facts(
        age_years=None if age is None else float(age),
        sex=sex if sex in SEXES else None,
        site=site if site in SITES else None,
    )


def _drawing() -> Asked:
    style, number = st.columns([3, 2], vertical_alignment="bottom")
    kind = style.selectbox(
        "Drawn in the style of",
        [*CODES, *NO_LESIONS],
        index=CODES.index("mel"),
        format_func=_drawn,
        key="drawing",
        bind="query-params",
        help="The last ones are no lesions: the model should refuse to answer.",
    )
    seed = number.number_input(
        "Drawing no.", min_value=0, max_value=_MAX_SEED, value=11, key="drawing_seed", bind="query-params"
    )
    pixels = cache.drawing(kind, int(seed))
    alt = f"Synthetic drawing in the style of {_drawn(kind)}"
    asked = Asked(pixels, f"drawing:{kind}:{seed}", alt, synthetic=True)
    st.image(pixels, width="stretch", alt=alt)
    _say_synthetic(words.SYNTHETIC if kind in BY_CODE else words.SYNTHETIC_OTHER)
    return asked


def _drawn(kind: str) -> str:
    return BY_CODE[kind].name if kind in BY_CODE else f"no lesion: {NO_LESIONS[kind].title}"


def _say_synthetic(what: str = words.SYNTHETIC) -> None:
    st.badge("synthetic", icon=":material/draw:", color="violet")
    st.caption(what)


def _upload() -> Asked | None:
    file = st.file_uploader(
        "Dermoscopic picture",
        type=list(SUFFIXES),
        max_upload_size=settings().max_upload_mb,
        key="upload",
        help=words.PRIVACY,
    )
    if file is None:
        st.caption(f":material/lock: {words.PRIVACY}")
        return None
    return _show(_received(file), alt="The uploaded picture")


def _camera() -> Asked | None:
    shot = st.camera_input("Photograph through a dermatoscope", key="camera", help=words.PRIVACY)
    st.caption(
        "The model knows dermoscopic pictures only: hold a dermatoscope before the lens. " + words.PRIVACY
    )
    return None if shot is None else _received(shot)


def _dataset_image() -> Asked | None:
    folder, synthetic = offered()
    if folder is None:
        st.info(
            "There is no local dataset. Start the app with `LESIONLENS_DATA=path/to/HAM10000` to pick one.",
            icon=":material/folder_open:",
        )
        return None
    table = cache.dataset(folder)
    with_picture = table[table["image_path"].notna()]
    if with_picture.empty:
        st.info(
            notices.plain(f"{folder.name} has no pictures, only facts."),
            icon=":material/image_not_supported:",
        )
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.text_input(
            "Image id",
            placeholder=str(with_picture["image_id"].iloc[0]),
            key="image_id",
            bind="query-params",
            width=180,
        )
        st.button(
            "Another one", icon=":material/shuffle:", on_click=_shuffle, args=(with_picture["image_id"],)
        )
    matching = with_picture[with_picture["image_id"] == wanted.strip()] if wanted else with_picture
    if matching.empty:
        raise PictureError(f"{folder.name} has no picture with the id {wanted!r}; see the example.")
    row = matching.iloc[0]
    asked = _read_file(Path(row["image_path"]), name=str(row["image_id"]))
    asked = replace(asked, synthetic=synthetic, image_id=str(row["image_id"]), folder=folder)
    _show(asked, alt=f"Image {row['image_id']} of the dataset in {folder.name}")
    facts = _recorded(row)
    if synthetic:
        _say_synthetic()
    st.caption(
        f"{notices.plain(str(row['image_id']))}, recorded as **{BY_CODE[row['dx']].name}** "
        f"({notices.plain(str(row['dx_type']))})."
    )
    st.button(
        "Fill in the recorded facts",
        icon=":material/assignment_ind:",
        on_click=_fill,
        args=(facts,),
        help=f"Age {facts.age_years}, sex {facts.sex}, site {facts.site}".replace("None", UNKNOWN),
    )
    return asked


SOURCES: Final[dict[str, Callable[[], Asked | None]]] = {
    "synthetic": _drawing,
    "upload": _upload,
    "camera": _camera,
    "dataset": _dataset_image,
}


def _received(file: UploadedFile) -> Asked:
    """Check and read what a browser sent; its own limits are not to be trusted."""
    limit_mb = settings().max_upload_mb
    if file.size > limit_mb * 2**20:
        raise PictureError(f"{file.name} is over {limit_mb} MB; export a smaller picture.")
    return _read(file.getvalue(), name=file.name)


def _read(data: bytes, *, name: str) -> Asked:
    digest = hashlib.sha256(data).hexdigest()
    picture: Picture = cache.picture(digest, data, name)
    return Asked(picture.pixels, digest, name, picture.notes, name=name, size_bytes=len(data))


def _read_file(path: Path, *, name: str) -> Asked:
    try:
        return _read(path.read_bytes(), name=name)
    except OSError as problem:
        raise PictureError(f"{name} cannot be read: {problem.strerror}.") from problem


def _show(asked: Asked, *, alt: str) -> Asked:
    st.image(asked.pixels, width="stretch", alt=alt)
    if asked.notes:
        st.caption(notices.plain(f"This picture: {'; '.join(asked.notes)}."))
    return asked


def _shuffle(image_ids: pd.Series) -> None:
    st.session_state["image_id"] = str(image_ids.sample(1).iloc[0])


def _recorded(row: pd.Series) -> Facts:
    return Facts(
        age_years=None if pd.isna(row["age_years"]) else float(row["age_years"]),
        sex=None if pd.isna(row["sex"]) else str(row["sex"]),
        site=None if pd.isna(row["site"]) else str(row["site"]),
    )


def _fill(facts: Facts) -> None:
    st.session_state["patient_age"] = None if facts.age_years is None else int(facts.age_years)
    st.session_state["patient_sex"] = facts.sex or UNKNOWN
    st.session_state["patient_site"] = facts.site or UNKNOWN
