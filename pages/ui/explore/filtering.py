"""The one filter that every view follows. It lives in the address, so a link shows what its sender saw.

Who wants another filter calls `put`, in a callback: `put(current().only("dx", ["mel"]))`.
"""

from typing import Final

import pandas as pd
import streamlit as st

from core.data.selection import AGES, KEYS, Selection
from pages.ui import notices

# The most chips that are drawn; a long list of sites would push the charts away.
_CHIPS: Final = 24


def current() -> Selection:
    """Return the filter that the address says, whichever dataset is open."""
    return Selection.parse(st.query_params.to_dict())[0]


def read(table: pd.DataFrame) -> Selection:
    """Return the filter as far as it means something to this table; say what of it does not, once."""
    selection, problems = Selection.parse(st.query_params.to_dict(), table)
    if problems:
        put(selection)
        st.warning(notices.plain(" ".join(problems)), icon=":material/filter_alt_off:")
    return selection


def put(selection: Selection) -> None:
    """Write a filter into the address. In a callback, the page follows at once; elsewhere, rerun it."""
    gone: dict[str, list[str]] = {name: [] for name in KEYS if name in st.query_params}
    # In one go, what goes as well as what comes: each change of the address by itself would be a step of its
    # own for the browser's "back". A parameter without a value is not written.
    st.query_params.update({**gone, **selection.to_query()})


def toggle(column: str, value: str) -> None:
    """Choose a value of a column, or let go of it: what a click on a bar does."""
    put(current().toggle(column, value))


def toggle_ages(low: float, high: float, *, extend: bool = False) -> None:
    """Choose a range of ages, stretch the chosen one to it, or let go of it when it is chosen already."""
    selection = current()
    if extend and selection.ages is not None:
        low, high = min(low, selection.ages[0]), max(high, selection.ages[1])
    same = selection.ages == (low, high)
    put(selection.without(AGES) if same else selection.with_ages(low, high))


def toggle_cell(row_column: str, row: str, column: str, value: str) -> None:
    """Choose exactly a cell of a cross table, or let go of it when it is chosen already."""
    selection = current()
    if is_cell(selection, row_column, row, column, value):
        put(selection.without(row_column).without(column))
    else:
        put(selection.only(row_column, [row]).only(column, [value]))


def is_cell(selection: Selection, row_column: str, row: str, column: str, value: str) -> bool:
    """Return whether exactly this cell of a cross table is chosen."""
    chosen = (selection.choices.get(row_column), selection.choices.get(column))
    return chosen == (frozenset({row}), frozenset({value}))


def draw_chips(selection: Selection) -> None:
    """Draw a button for each part of the filter that takes it off, and one that takes off all."""
    chips = selection.chips()
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if not chips:
            st.caption(":material/touch_app: Click bars, cells, ages or body sites to filter everything.")
            return
        for chip in chips[:_CHIPS]:
            st.button(
                notices.plain(chip.label),
                key=f"explore_chip_{chip.column}_{chip.value}",
                icon=":material/close:",
                help="Take this off the filter",
                on_click=lambda chip=chip: put(current().without(chip.column, chip.value)),
            )
        if len(chips) > _CHIPS:
            st.caption(f"and {len(chips) - _CHIPS} more")
        st.button(
            "Clear all",
            key="explore_clear",
            type="tertiary",
            icon=":material/filter_alt_off:",
            on_click=lambda: put(Selection()),
        )
