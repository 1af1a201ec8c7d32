"""Small pictures in groups, each a button: the gallery's grid, siblings and look-alikes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from core.data.facets import label_of
from core.data.thumbnails import Thumbnail, thumbnails
from core.labels import BY_CODE
from core.words import short_name
from pages.ui import theme

SIDE_PX: Final = 260
"""Longer side of the decoded thumbnails: sharp on a screen of two pixels a point."""

_HERE: Final = Path(__file__)
_TILES: Final = st.components.v2.component(
    "lesionlens_tiles",
    html='<div class="tiles"></div>\n',
    css=_HERE.with_name("tiles.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("tiles.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Group:
    """Pictures that belong together, and what stands below them.

    Attributes:
        rows: their rows of a metadata table.
        title: the first line; empty for no text at all.
        colour: of the dot before the title.
        lines: the further lines.
        notes: by image id, what stands in a picture's corner.
        marked: the image id that is framed.
    """

    rows: pd.DataFrame
    title: str = ""
    colour: str = ""
    lines: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    marked: str | None = None


def draw(
    groups: Sequence[Group],
    *,
    key: str,
    label: str,
    masks: Mapping[str, Path],
    opened: Callable[[str], None],
) -> None:
    """Draw groups of pictures.

    Args:
        groups: what to draw.
        key: names the component.
        label: what a screen reader calls the list.
        masks: by image id, the mask whose outline is drawn.
        opened: called with an image id when a person opens a picture.
    """
    files = {name: file for group in groups for name, file in paths(group.rows).items()}
    small = thumbnails(files, side_px=SIDE_PX, masks=masks)
    lesions = [_lesion(group, small) for group in groups]
    digest = hashlib.sha256(repr(lesions).encode()).hexdigest()

    def tell() -> None:
        image_id = st.session_state[key].opened
        if image_id:
            opened(str(image_id))

    _TILES(key=key, data={"key": digest, "label": label, "lesions": lesions}, on_opened_change=tell)


def of_lesion(rows: pd.DataFrame, *, notes: Mapping[str, str] | None = None, all_photos: int) -> Group:
    """Return the group of a lesion's pictures. all_photos: how many photos of it the whole dataset has."""
    first = rows.iloc[0]
    shown = len(rows)
    count = f"{shown} photos" if shown > 1 else "1 photo"
    if all_photos > shown:
        count = f"{shown} of {all_photos} photos"
    lines = (facts(first), f"{first['lesion_id']} · {count}")
    name = short_name(str(first["dx"]))
    return Group(rows, name, theme.diagnosis_colours()[str(first["dx"])], lines, notes or {})


def of_picture(row: pd.Series, *, note: str) -> Group:
    """Return the group of one picture, with a note in its corner."""
    rows = row.to_frame().T
    name, colour = short_name(str(row["dx"])), theme.diagnosis_colours()[str(row["dx"])]
    return Group(rows, name, colour, (facts(row),), {str(row["image_id"]): note})


def facts(row: pd.Series) -> str:
    """Return a patient's facts in a few words; what is unknown is left out, or said if all is."""
    age = None if pd.isna(row["age_years"]) else f"{row['age_years']:g} years"
    words = [age, *(None if pd.isna(row[name]) else str(row[name]) for name in ("sex", "site"))]
    return " · ".join(filter(None, words)) or "no facts recorded"


def alt(row: pd.Series) -> str:
    """Return what a screen reader says of a picture."""
    how = "" if pd.isna(row["dx_type"]) else f" (by {label_of('dx_type', str(row['dx_type']))})"
    return f"{row['image_id']}: {BY_CODE[str(row['dx'])].name}{how}, {facts(row)}"


def paths(rows: pd.DataFrame) -> dict[str, Path]:
    """Return image id -> file of the rows that have one."""
    here = rows[rows["image_path"].notna()]
    return {
        str(name): Path(str(file)) for name, file in zip(here["image_id"], here["image_path"], strict=True)
    }


def _lesion(group: Group, small: Mapping[str, Thumbnail]) -> dict[str, object]:
    pictures = [_picture(row, group, small.get(str(row["image_id"]))) for _, row in group.rows.iterrows()]
    return {
        "title": group.title,
        "colour": group.colour,
        "lines": list(group.lines),
        "pictures": pictures,
    }


def _picture(row: pd.Series, group: Group, small: Thumbnail | None) -> dict[str, object]:
    image_id = str(row["image_id"])
    source, words = "", alt(row)
    if small is None:
        words = f"{image_id} has no picture here"
    elif not small.data:
        words = small.problem or f"{image_id} cannot be read"
    else:
        source = small.uri
    return {
        "id": image_id,
        "src": source,
        "alt": words,
        "note": group.notes.get(image_id, ""),
        "marked": image_id == group.marked,
    }
