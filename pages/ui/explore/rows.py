"""The chosen rows as a table, page by page, and as a file."""

from collections.abc import Callable
from functools import partial
from typing import Final

import pandas as pd
import streamlit as st

from core.data.facets import TITLES, label_of
from core.spreadsheet import to_csv
from core.words import short_name
from pages.ui.explore.explored import Explored

ROWS_A_PAGE: Final = 200
_SHOWN: Final = ("image_id", "lesion_id", "dx", "dx_type", "age_years", "sex", "site", "split", "source")
_TITLES: Final = {"image_id": "Image", "lesion_id": "Lesion", "age_years": "Age", **TITLES}


def draw(explored: Explored) -> None:
    """Draw the chosen rows and the button that saves them."""
    with st.container(border=True, gap="small"):
        st.header("Rows", anchor=False)
        columns = _columns(explored)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            by = st.selectbox(
                "Sort by", columns, format_func=_TITLES.__getitem__, key="explore_rows_sort", width=190
            )
            falling = st.toggle("Largest first", key="explore_rows_falling")
            pages = max(1, -(-len(explored.chosen) // ROWS_A_PAGE))
            page = st.number_input(f"Page of {pages:,}", 1, pages, 1, key="explore_rows_page", width=130)
            st.space("stretch")
            st.download_button(
                "Save as CSV",
                data=lambda: export(explored),
                file_name="lesionlens_rows.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="explore_export",
            )
        ordered = explored.chosen.sort_values(by, ascending=not falling, kind="stable")
        first = (page - 1) * ROWS_A_PAGE
        shown = ordered[columns].iloc[first : first + ROWS_A_PAGE]
        st.dataframe(
            _in_words(shown),
            hide_index=True,
            height=360,
            column_config={column: _TITLES[column] for column in columns},
            alt="The chosen rows of the dataset's table",
        )
        last = min(first + ROWS_A_PAGE, len(ordered))
        said = f"Rows {first + 1 if last else 0:,} to {last:,} of {len(ordered):,}."
        if explored.dataset.kind == "bundled":
            said += " These are counts written out as rows: they have no ids and no pictures."
        st.caption(said)


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    named: dict[str, Callable[[str], str]] = {"dx": short_name}
    for column in ("dx_type", "split"):
        named[column] = partial(label_of, column)
    present = [column for column in named if column in rows]
    return rows.assign(**{column: rows[column].map(named[column], na_action="ignore") for column in present})


def _columns(explored: Explored) -> list[str]:
    hidden = {"image_id", "lesion_id"} if explored.dataset.kind == "bundled" else set()
    return [column for column in _SHOWN if column in explored.chosen and column not in hidden]


def export(explored: Explored) -> bytes:
    """Return the chosen rows as CSV; lines that begin with # say what they are."""
    notes = (
        f"dataset: {explored.dataset.name}",
        f"filter: {explored.selection.describe()}",
        f"rows: {len(explored.chosen)} of {len(explored.dataset.table)}",
    )
    return to_csv(explored.chosen[_columns(explored)], notes=notes)
