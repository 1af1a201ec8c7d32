"""What Quality knows of a dataset once somebody asked for it: measures, pairs; and the job that asks."""

from typing import Final

import pandas as pd
import streamlit as st

from core.data.inspection import inspect_pictures, stored_inspection
from core.data.scenes import stored_scenes
from core.data.twins import describe_pairs, find_twins
from core.settings import settings
from core.words import minutes
from pages.ui import jobs
from pages.ui.address import whole_number
from pages.ui.explore import looking
from pages.ui.explore.datasets import Dataset

SHOWN: Final = 10
"""Pictures, pairs or labels on a page."""

_KEEP: Final = "30m"


class _NotThere(Exception):
    """Raised so that an absence is not cached."""


def draw_inspect(dataset: Dataset) -> None:
    """Draw the job that looks at each picture once."""
    table, cache_dir, masks = dataset.table, settings().cache_dir, looking.masks_of(dataset)
    count = int(table["image_path"].notna().sum())
    jobs.draw(
        _inspect_key(dataset),
        "Measuring the pictures",
        lambda report: inspect_pictures(table, cache_dir=cache_dir, masks=masks, report=report),
        button=f"Measure {count:,} pictures",
        about="One look at each picture: sharpness, light, hair, black corners, size, skin tone, and what "
        f"finds its copies. About {minutes(count * 0.025)} on one core, once; it can be cancelled, and goes "
        "on later where it stopped.",
        on_disk=True,
    )


def _inspect_key(dataset: Dataset) -> str:
    return f"inspect:{dataset.key}:{len(dataset.table)}"


def inspection(dataset: Dataset) -> pd.DataFrame | None:
    """Return what one look at each picture has found; None while there was none."""
    try:
        return _stored_inspection(dataset.key, len(dataset.table), dataset.table, dataset)
    except _NotThere:
        return None


@st.cache_resource(ttl=_KEEP, max_entries=4, show_spinner=False)
def _stored_inspection(
    key: str,  # noqa: ARG001 -- with the next one, the key of the cache
    length: int,  # noqa: ARG001
    _table: pd.DataFrame,
    _dataset: Dataset,
) -> pd.DataFrame:
    found = stored_inspection(_table, cache_dir=settings().cache_dir, masks=looking.masks_of(_dataset))
    if found is None:
        raise _NotThere
    return found


def scenes(dataset: Dataset) -> pd.DataFrame | None:
    """Return the pairs of the same spot; None while they were not looked for."""
    try:
        return _stored_scenes(dataset.key, len(dataset.table), dataset.table)
    except _NotThere:
        return None


@st.cache_resource(ttl=_KEEP, max_entries=4, show_spinner=False)
def _stored_scenes(
    key: str,  # noqa: ARG001 -- with the next one, the key of the cache
    length: int,  # noqa: ARG001
    _table: pd.DataFrame,
) -> pd.DataFrame:
    found = stored_scenes(_table, cache_dir=settings().cache_dir)
    if found is None:
        raise _NotThere
    return found


@st.cache_resource(ttl=_KEEP, max_entries=8, show_spinner="Looking for copies …")
def _described(
    key: str,  # noqa: ARG001 -- with the next two, the key of the cache
    length: int,  # noqa: ARG001
    searched: bool,  # noqa: ARG001
    _inspection: pd.DataFrame,
    _scenes: pd.DataFrame | None,
    _table: pd.DataFrame,
) -> pd.DataFrame:
    parts = _table.get("split")
    return describe_pairs(find_twins(_inspection, _scenes), _table, parts)


def pairs(dataset: Dataset) -> pd.DataFrame | None:
    """Return the pairs that were found, with what each side is; None while no picture was looked at."""
    looked, searched = inspection(dataset), scenes(dataset)
    if looked is None:
        return None
    return _described(dataset.key, len(looked), searched is not None, looked, searched, dataset.table)


def page(key: str, count: int) -> int:
    """Return the page that the address asks for, or the nearest there is."""
    pages = -(-count // SHOWN)
    asked = st.session_state.get(key, st.query_params.get(key, "1"))
    page = whole_number(asked, high=pages)
    if str(asked) != str(page):
        st.session_state[key] = page
    return page


def draw_pages(key: str, count: int) -> None:
    """Draw the switch between pages, where there are several."""
    if count > SHOWN:
        with st.container(horizontal_alignment="center"):
            st.pagination(-(-count // SHOWN), key=key, bind="query-params", max_visible_pages=7)
