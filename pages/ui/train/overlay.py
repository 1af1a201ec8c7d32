"""Runs that are laid over each other: only the settings in which they differ."""

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.runs.library import Summary, differences
from core.words import NOT_AVAILABLE
from pages.ui import notices


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
    rows |= {setting: [_words(value) for value in row.values()] for setting, row in table.items()}
    shown = [[notices.plain(value) for value in (name, *row)] for name, row in rows.items()]
    titles = ["what differs", *(notices.plain(names[run.reference]) for run in runs)]
    # As a column: an index leaves its heading empty. No run can bear a name with a space.
    st.table(
        pd.DataFrame(shown, columns=titles),
        hide_index=True,
        alt="Best score and the settings in which the compared runs differ",
    )
    if not table:
        st.caption("They were started with the same settings, dataset and split.")


def _names(runs: Sequence[Summary]) -> dict[str, str]:
    """Return what each run is called; the reference where two have one name."""
    names = [run.name for run in runs]
    return {run.reference: run.name if names.count(run.name) == 1 else run.reference for run in runs}


def _words(value: object) -> str:
    return NOT_AVAILABLE if value is None else str(value)
