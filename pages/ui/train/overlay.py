"""Runs that are laid over each other: only the settings in which they differ."""

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from core.runs.library import Summary, differences
from core.words import NOT_AVAILABLE

_SETTING: Final = "what differs"
# Where a setting's own name says less than its value.
_TITLES: Final = {"split_hash": "split", "recipe_name": "recipe"}


def draw(runs: Sequence[Summary]) -> None:
    """Draw the table of differences, a setting a row; nothing for one run alone."""
    if len(runs) < 2:
        return
    st.subheader("What differs", anchor=False)
    names = _names(runs)
    table = differences({run.reference: run.config for run in runs})
    rows = {
        "best balanced accuracy": [
            NOT_AVAILABLE if math.isnan(run.best) else f"{run.best:.3f}" for run in runs
        ]
    }
    rows |= {
        _TITLES.get(setting, setting): [_words(setting, value) for value in row.values()]
        for setting, row in table.items()
    }
    # As a column: an index leaves its heading empty. No run can bear a name with a space.
    titles = [_SETTING, *(names[run.reference] for run in runs)]
    # Not st.table: many runs are wider than the screen, and its scrolled part no keyboard reaches in Safari.
    st.dataframe(
        pd.DataFrame([[name, *row] for name, row in rows.items()], columns=titles),
        hide_index=True,
        height="content",
        column_config={_SETTING: st.column_config.Column(pinned=True)},
        alt="Best score and the settings in which the compared runs differ",
    )
    if not table:
        st.caption("They were started with the same settings, dataset and split.")


def _names(runs: Sequence[Summary]) -> dict[str, str]:
    """Return what each run is called; the reference where two have one name."""
    names = [run.name for run in runs]
    return {run.reference: run.name if names.count(run.name) == 1 else run.reference for run in runs}


def _words(setting: str, value: object) -> str:
    if value is None:
        return NOT_AVAILABLE
    # A whole hash would push all runs but one off the screen; so many digits tell two splits apart too.
    return str(value)[:12] if setting == "split_hash" else str(value)
