"""Gallery: the chosen pictures by lesion, a page at a time, and what each diagnosis has in common."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core import words
from core.data.averages import SIZE, Average, average_pictures, largest_spread, spread_out
from core.data.gallery import ORDERS, Page, order_rows, order_values, page_of, photos_of_lesion
from core.data.thumbnails import montage, thumbnails
from core.errors import DataError, LesionLensError
from core.labels import BY_CODE
from pages.ui import jobs, notices, theme
from pages.ui.address import whole_number
from pages.ui.explore import looking, picture, tiles
from pages.ui.explore.explored import Explored

LIKENESS: Final = "likeness"
_SORT: Final = "explore_sort"
_ORDER: Final = "explore_order"
_PAGE: Final = "explore_page"
_OUTLINE: Final = "explore_outline"
_SHOW: Final = "explore_show"
_DIRECTIONS: Final = {"up": "Ascending", "down": "Descending"}

# Enough to see what is common; all pictures of a large class take half a minute, and are a button.
_QUICK_AVERAGE: Final = 24
_MONTAGE: Final = 12
_MONTAGE_COLUMNS: Final = 4
_MONTAGE_CELL: Final = (90, 120)


def draw(explored: Explored) -> None:
    """Draw the view of what is explored."""
    if explored.chosen.empty:
        st.info(
            "No picture passes the filter. Take a part of it off above.", icon=":material/filter_alt_off:"
        )
        picture.draw_opened(explored, [])
        return
    shown = st.segmented_control(
        "Show",
        list(SHOWS),
        default=next(iter(SHOWS)),
        required=True,
        key=_SHOW,
        bind="query-params",
        label_visibility="collapsed",
    )
    SHOWS[shown or next(iter(SHOWS))](explored)


def _draw_lesions(explored: Explored) -> None:
    masks = looking.masks_of(explored.dataset)
    sort, descending, outlined = _ask_order(explored, has_masks=bool(masks))
    order, likeness = _order(explored, sort, descending=descending)
    ids = explored.chosen["image_id"].to_numpy(dtype=object)[order].tolist()
    page = _turn_to(explored, order)
    st.caption(_said(explored, page, likeness))
    photos = photos_of_lesion(explored.dataset.table)
    tiles.draw(
        [
            tiles.of_lesion(
                explored.chosen.loc[rows],
                notes=_notes(explored.chosen.loc[rows], likeness),
                all_photos=int(photos[rows[0]]),
            )
            for rows in page.lesions.values()
        ],
        key="explore_tiles",
        label=f"Pictures of {len(page.lesions)} lesions, page {page.number} of {page.pages}",
        masks=masks if outlined else {},
        opened=picture.put,
    )
    if page.pages > 1:
        with st.container(horizontal_alignment="center"):
            st.pagination(page.pages, key=_PAGE, bind="query-params", max_visible_pages=7)
    picture.draw_opened(explored, ids)


def _ask_order(explored: Explored, *, has_masks: bool) -> tuple[str, bool, bool]:
    """Ask how to sort and whether to draw outlines; return column, whether descending, whether outlined."""
    titles = dict(ORDERS)
    like = picture.like(explored.dataset)
    if like is not None:
        titles[LIKENESS] = "Likeness"
    elif st.session_state.get(_SORT) == LIKENESS:
        st.session_state[_SORT] = next(iter(ORDERS))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        sort = st.selectbox(
            "Sort by",
            list(titles),
            format_func=titles.__getitem__,
            key=_SORT,
            bind="query-params",
            on_change=_to_first_page,
            width=260,
        )
        direction = st.segmented_control(
            "Order",
            list(_DIRECTIONS),
            default="up",
            format_func=_DIRECTIONS.__getitem__,
            required=True,
            disabled=sort == LIKENESS,
            key=_ORDER,
            bind="query-params",
            on_change=_to_first_page,
        )
        outlined = has_masks and st.toggle(
            "Lesion outlines",
            key=_OUTLINE,
            bind="query-params",
            help="Drawn from the masks that lie beside the pictures (Tschandl et al., Nature Medicine 2020).",
        )
    return sort, direction == "down", outlined


def _order(explored: Explored, sort: str, *, descending: bool) -> tuple[np.ndarray, pd.Series | None]:
    """Return positions of the chosen rows in order, and their likeness where that is what they go by."""
    if sort != LIKENESS:
        return order_rows(explored.chosen, sort, descending=descending), None
    try:
        found = looking.draw_features(explored.dataset, purpose="Sorting by likeness")
        if found is not None:
            likeness = looking.likenesses(explored.dataset, found).to(str(picture.like(explored.dataset)))
            values = likeness.reindex(explored.chosen["image_id"]).to_numpy(dtype=float)
            return order_values(values, descending=True), likeness
    except LesionLensError as problem:
        notices.refuse(problem)
    return order_rows(explored.chosen, next(iter(ORDERS))), None


def _turn_to(explored: Explored, order: np.ndarray) -> Page:
    """Return the page that the address asks for, or the nearest there is.

    Another filter begins at its first page; the page of a link that was followed stays.
    """
    filtered = hash(explored.selection)
    if st.session_state.setdefault("explore_paged", filtered) != filtered:
        st.session_state["explore_paged"] = filtered
        st.session_state[_PAGE] = 1
    asked = st.session_state.get(_PAGE, st.query_params.get(_PAGE, "1"))
    page = page_of(explored.chosen, order, whole_number(asked, high=len(order)))
    if str(asked) != str(page.number):
        st.session_state[_PAGE] = page.number
    return page


def _to_first_page() -> None:
    st.session_state[_PAGE] = 1


def _said(explored: Explored, page: Page, likeness: pd.Series | None) -> str:
    missing = int(explored.chosen["image_path"].isna().sum())
    said = (
        f"{page.n_images:,} pictures of {page.n_lesions:,} lesions; page {page.number:,} of {page.pages:,}."
    )
    if missing:
        said += f" {missing:,} of them have no picture here."
    if likeness is not None:
        like = notices.plain(str(picture.like(explored.dataset)))
        said += (
            f" Likeness to {like} is the cosine between features, −1 to 1; photos of a lesion stay together."
        )
    return said


def _notes(rows: pd.DataFrame, likeness: pd.Series | None) -> dict[str, str]:
    """Return what stands in the pictures' corners: how alike they are, where that is the order."""
    if likeness is None:
        return {}
    values = likeness.reindex(rows["image_id"])
    return {
        str(name): f"{value:.2f}".replace("-", "−") if np.isfinite(value) else words.NOT_AVAILABLE
        for name, value in values.items()
    }


def _draw_diagnoses(explored: Explored) -> None:
    st.caption(
        "For each diagnosis among the chosen pictures: some of them, their mean, and where they differ "
        "most. A blurred mean with an even variability says that lesions were not aligned, not that they "
        "are alike."
    )
    averages = _averages(explored)
    limit = largest_spread(averages)
    for code, average in averages.items():
        _draw_diagnosis(explored, code, average, limit=limit)
    picture.draw_opened(explored, [])


def _averages(explored: Explored) -> dict[str, Average]:
    """Return the averages of a few pictures at once, or of all of them once somebody had them computed."""
    chosen = explored.chosen
    key = f"averages:{explored.dataset.key}:{hash(explored.selection)}"
    count = int(chosen["image_path"].notna().sum())
    quick = _quick_averages(explored.dataset.key, hash(explored.selection), chosen)
    if count <= sum(average.n for average in quick.values()):
        return quick
    with st.container(border=True):
        whole = jobs.draw(
            key,
            "Averaging the pictures",
            lambda report: average_pictures(chosen, report=report),
            button=f"Average all {count:,} pictures",
            about=f"Below are at most {_QUICK_AVERAGE} pictures a diagnosis, one a lesion where there are "
            f"enough. All {count:,} take about {max(1, round(count * 0.005)):,} seconds.",
        )
        if whole is not None:
            st.caption(":material/done_all: All chosen pictures are averaged below.")
    return quick if whole is None else whole


@st.cache_resource(ttl="30m", max_entries=16, show_spinner="Averaging some pictures …")
def _quick_averages(key: str, selection: int, _chosen: pd.DataFrame) -> dict[str, Average]:  # noqa: ARG001
    return average_pictures(_chosen, most=_QUICK_AVERAGE)


def _draw_diagnosis(explored: Explored, code: str, average: Average, *, limit: float) -> None:
    name = BY_CODE[code].name
    rows = explored.chosen[explored.chosen["dx"] == code]
    st.header(words.short_name(code), anchor=False)
    st.caption(
        f"Mean and variability of {average.n:,} pictures of {average.n_lesions:,} lesions "
        f"(of {average.of:,} chosen)."
    )
    some, mean, spread = st.columns([2, 1, 1], gap="small")
    with some:
        _draw_montage(rows, name)
    mean.image(average.mean, width="stretch", caption="mean", alt=f"Mean of {average.n} pictures of {name}")
    if np.isfinite(average.spread).any():
        centre = average.spread[SIZE[0] // 3 : -SIZE[0] // 3, SIZE[1] // 3 : -SIZE[1] // 3].mean()
        rim = np.concatenate([average.spread[:9].ravel(), average.spread[-9:].ravel()]).mean()
        spread.image(
            theme_map(average.spread / limit),
            width="stretch",
            caption=f"variability, 0 to {limit:.0f} of 255",
            alt=f"Standard deviation of brightness of {name}: {centre:.0f} in the middle, {rim:.0f} at the "
            "upper and lower rim, of 255",
        )
    else:
        spread.caption("One picture has no variability.")


def _draw_montage(rows: pd.DataFrame, name: str) -> None:
    here = spread_out(rows[rows["image_path"].notna()], _MONTAGE)
    small = thumbnails(tiles.paths(here), side_px=tiles.SIDE_PX)
    try:
        sheet = montage(list(small.values()), columns=_MONTAGE_COLUMNS, cell_px=_MONTAGE_CELL)
    except DataError as problem:
        notices.refuse(problem)
        return
    shown = f"{len(here)} of {len(rows):,} pictures, evenly spread"
    st.image(sheet, width="stretch", caption=shown, alt=f"{len(here)} pictures of {name}")


def theme_map(values: np.ndarray) -> np.ndarray:
    """Return values from 0 to 1, shape (h, w), in the theme's sequential colours: uint8 (h, w, 3)."""
    scale = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in theme.sequential()])
    stops = np.linspace(0, 1, len(scale))
    channels = [np.interp(values, stops, scale[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


SHOWS: Final[dict[str, Callable[[Explored], None]]] = {
    "Pictures": _draw_lesions,
    "Diagnoses": _draw_diagnoses,
}
