"""Runs that are laid over each other: only the settings in which they differ."""

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
    table = differences({names[run.reference]: run.config for run in runs})
    best = pd.DataFrame(
        {
            name: ["–" if run.best != run.best else f"{run.best:.3f}"]
            for run, name in zip(runs, names.values(), strict=True)
        },
        index=["best balanced accuracy"],
    )
    rows = pd.DataFrame(
        {setting: {run: _words(value) for run, value in row.items()} for setting, row in table.items()}
    ).T
    st.table(
        pd.concat([best, rows]).map(lambda value: notices.plain(str(value))).rename(columns=notices.plain),
        alt="Best score and the settings in which the compared runs differ",
    )
    if rows.empty:
        st.caption("They were started with the same settings, dataset and split.")


def _names(runs: Sequence[Summary]) -> dict[str, str]:
    """Return what each run is called; the reference where two have one name."""
    names = [run.name for run in runs]
    return {run.reference: run.name if names.count(run.name) == 1 else run.reference for run in runs}


def _words(value: object) -> str:
    return NOT_AVAILABLE if value is None else str(value)
