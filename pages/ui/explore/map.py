"""Map: pictures that look alike to the model lie close together; a lasso filters everything by them."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.data.facets import TITLES, UNKNOWN, Facet, Facets, label_of
from core.data.projection import PROJECTIONS, Projected
from core.data.thumbnails import thumbnails
from core.errors import LesionLensError
from core.predict.features import Features
from core.words import percent, short_name
from pages.ui import notices, theme
from pages.ui.explore import filtering, looking, picture, tiles
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored

_MAP_KEY: Final = "explore_map"
_MOVED: Final = "explore_map_moved"
_PLACES: Final = 65535
_HOVER_PX: Final = 200
_WANTED_AT_ONCE: Final = 12

# Columns whose values have an order get a scale from little to much; the others get colours of their own.
_ORDERED: Final = ("age_band", "images_per_lesion")
# For columns with more values than there are diagnoses; readable on white and on black.
_MANY: Final = (
    "#3460C5", "#D29D08", "#12925B", "#C83E1B", "#8B4F86", "#1CBAE3", "#E377A2", "#7C8B2A",
    "#5B4FCF", "#00897B", "#B26A00", "#AD1457", "#8D6E63", "#4C8DFF", "#C0A000", "#6BAF92",
)  # fmt: skip

_HERE: Final = Path(__file__)
_MAP: Final = st.components.v2.component(
    "lesionlens_map",
    html='<div class="map"></div>\n',
    css=_HERE.with_name("map.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("map.js").read_text(encoding="utf-8"),
)
_THUMBNAILS: Final = st.components.v2.component(
    "lesionlens_thumbnails", js=_HERE.with_name("thumbnails.js").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Points:
    """The points of a map as they are sent: those outside the filter first, rare colours last, on top.

    Attributes:
        rows: the position in the dataset's table of each point, shape (n,).
        active: how many of them, at the end, pass the filter.
        data: what the component is given.
    """

    rows: np.ndarray
    active: int
    data: dict[str, object]


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    try:
        found = looking.draw_features(explored.dataset, purpose="The map")
        if found is None:
            picture.draw_opened(explored, [])
            return
        column, way = _ask()
        places = looking.projected(explored.dataset, found, way)
        if places is None:
            picture.draw_opened(explored, [])
            return
    except LesionLensError as problem:
        notices.refuse(problem)
        return
    points = arrange(explored, found, places, column)
    _draw_points(explored.dataset, points)
    _draw_words(explored, found, places, way, points)
    picture.draw_opened(explored, explored.chosen["image_id"].tolist())


def _ask() -> tuple[str, str]:
    """Ask for the column that colours and for the projection; say so where one is not installed."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        column = st.selectbox(
            "Colour by",
            list(TITLES),
            format_func=TITLES.__getitem__,
            key="explore_colour",
            bind="query-params",
            width=220,
        )
        here = [name for name, projection in PROJECTIONS.items() if projection.is_here]
        way = here[0]
        if len(here) > 1:
            way = (
                st.segmented_control(
                    "Arranged by",
                    here,
                    default=here[0],
                    format_func=lambda name: PROJECTIONS[name].title,
                    required=True,
                    key="explore_projection",
                    bind="query-params",
                )
                or here[0]
            )
        for projection in PROJECTIONS.values():
            if not projection.is_here:
                st.caption(
                    f"Arranged by {PROJECTIONS[way].title}. {projection.title} is an optional extra that is "
                    f"not installed: pip install {projection.install}."
                )
    return column, way


def arrange(explored: Explored, found: Features, places: Projected, column: str) -> Points:
    """Return the points of a dataset's pictures, coloured by a column of `core.data.facets.TITLES`."""
    table = explored.dataset.table
    facet = Facets.of(table).columns[column]
    at = found.rows(table["image_id"].tolist())
    has_place = at >= 0
    has_place[has_place] = np.isfinite(places.points[at[has_place], 0])
    rows = np.flatnonzero(has_place)
    passes = table.index.isin(explored.chosen.index)[rows]
    codes = facet.codes[rows]
    counts = np.bincount(codes[passes], minlength=len(facet.words))
    # Within a colour, in a mixed order: neighbours in the table would lie on each other in layers.
    mixed = np.random.default_rng(0).permutation(len(rows))
    order = mixed[np.lexsort((-counts[codes[mixed]], passes[mixed]))]
    rows, codes, active = rows[order], codes[order], int(passes.sum())
    quantised, aspect = _quantised(places.points[at[rows]])
    colours = _colours(column, facet)
    noun = "picture" if active == 1 else "pictures"
    label = (
        f"Map of {active:,} {noun}, coloured by {TITLES[column].lower()}. Arrow keys go from picture to "
        "picture, Enter opens one, plus and minus zoom."
    )
    data: dict[str, object] = {
        "places": base64.b64encode(quantised.tobytes()).decode(),
        "colours": base64.b64encode(codes.astype(np.uint8).tobytes()).decode(),
        "palette": colours,
        "active": active,
        "aspect": round(aspect, 3),
        "label": label,
        "names": explored.dataset.key,
        "legend": [
            {"name": _word(column, word), "colour": colour, "note": f"{count:,}"}
            for word, colour, count in zip(facet.words, colours, counts.tolist(), strict=True)
            if count
        ],
    }
    digest = hashlib.sha256(repr((data["places"], data["colours"], active, explored.dataset.key)).encode())
    data["key"] = digest.hexdigest()[:16]
    return Points(rows, active, data)


def _quantised(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return places as uint16 (n, 2), each axis from end to end, and width over height of their range."""
    if not len(points):
        return np.zeros((0, 2), dtype="<u2"), 1.5
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    scaled = np.rint((points - low) / span * _PLACES).astype("<u2")
    # Distances stay true unless one axis would become a line.
    return scaled, float(np.clip(span[0] / span[1], 1.2, 2.2))


def _colours(column: str, facet: Facet) -> list[str]:
    """Return a colour for each word of a facet; what is unknown is grey."""
    gray = theme.colour("grayColor")
    if column == "dx":
        known = theme.diagnosis_colours()
        return [known.get(word, gray) for word in facet.words]
    ordered = [word for word in facet.words if word != UNKNOWN]
    if column in _ORDERED:
        # Not from the very end of the scale, which is nearly the background.
        scale = theme.sequential()[2:]
        steps = np.linspace(0, len(scale) - 1, max(len(ordered), 2)).round().astype(int)
        picked = [scale[step] for step in steps]
    else:
        picked = [_MANY[index % len(_MANY)] for index in range(len(ordered))]
    by_word = dict(zip(ordered, picked, strict=False))
    return [by_word.get(word, gray) for word in facet.words]


def _word(column: str, word: str) -> str:
    return short_name(word) if column == "dx" and word != UNKNOWN else label_of(column, word)


@st.fragment
def _draw_points(dataset: Dataset, points: Points) -> None:
    """Draw the map; a look reruns only this, a pick reruns the page."""
    if st.session_state.pop(_MOVED, False):
        st.rerun()
    shown = _MAP(
        key=_MAP_KEY,
        data=points.data,
        on_wanted_change=lambda: None,
        on_picked_change=lambda: _picked(dataset, points),
        on_opened_change=lambda: _opened(dataset, points),
    )
    wanted = _rows(points, shown.wanted)[:_WANTED_AT_ONCE]
    pictures = _pictures(dataset.table.iloc[points.rows[wanted]]) if wanted else []
    _THUMBNAILS(
        key="explore_thumbnails",
        data={
            "key": points.data["key"],
            "pictures": {str(row): one for row, one in zip(wanted, pictures, strict=True)},
        },
    )


def _rows(points: Points, sent: object) -> list[int]:
    """Return the points that a browser names, if they are points of this map: it may still show another."""
    if not isinstance(sent, dict) or sent.get("key") != points.data["key"]:
        return []
    named = sent.get("rows")
    if not isinstance(named, list):
        return []
    return [row for row in named if isinstance(row, int) and 0 <= row < len(points.rows)]


def _ids(dataset: Dataset, points: Points, sent: object) -> list[str]:
    rows = _rows(points, sent)
    return [str(name) for name in dataset.table["image_id"].iloc[points.rows[rows]]]


def _picked(dataset: Dataset, points: Points) -> None:
    if ids := _ids(dataset, points, st.session_state[_MAP_KEY].picked):
        filtering.put(filtering.current().with_images(ids))
        st.session_state[_MOVED] = True


def _opened(dataset: Dataset, points: Points) -> None:
    if ids := _ids(dataset, points, st.session_state[_MAP_KEY].opened):
        picture.put(ids[0])
        st.session_state[_MOVED] = True


def _pictures(rows: pd.DataFrame) -> list[dict[str, object]]:
    small = thumbnails(tiles.paths(rows), side_px=_HOVER_PX)
    found: list[dict[str, object]] = []
    for _, row in rows.iterrows():
        image_id = str(row["image_id"])
        one = small.get(image_id)
        found.append(
            {
                "src": one.uri if one else "",
                "problem": (one.problem if one else None) or "no picture here",
                "title": short_name(str(row["dx"])),
                "lines": [tiles.facts(row), image_id],
            }
        )
    return found


def _draw_words(explored: Explored, found: Features, places: Projected, way: str, points: Points) -> None:
    """Say what the map is of, what its axes mean, and who has no place on it."""
    learned = (
        f"The features are those of {notices.plain(found.extractor)}, {looking.extractor().about}: what it "
        "tells apart is what it learned."
    )
    said = [
        f"{points.active:,} of {len(points.rows):,} pictures pass the filter"
        + ("; the others are faint." if points.active < len(points.rows) else "."),
        learned,
        PROJECTIONS[way].about,
    ]
    if places.explained:
        across, up = (percent(share) for share in _two(places.explained))
        said.append(f"Left to right shows {across} of the variance, bottom to top {up} (n = {places.n:,}).")
    if without := len(explored.dataset.table) - len(points.rows):
        said.append(f"{without:,} images have no place: no picture, or one that cannot be read.")
    st.caption(" ".join(said))


def _two(shares: Sequence[float]) -> tuple[float, float]:
    return shares[0], shares[1] if len(shares) > 1 else 0.0
