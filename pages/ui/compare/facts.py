"""The facts sheet of each model, written from what was measured, and how long it takes on this machine."""

from typing import Final

import streamlit as st

from core.errors import LesionLensError
from core.evaluate.gathering import weights_folder
from core.evaluate.metrics import METRICS
from core.evaluate.sheet import facts_sheet
from pages.ui import cache, notices
from pages.ui.compare.compared import AT_POINT, Compared

_MS: Final = "compare_ms"


def draw(compared: Compared) -> None:
    """Draw the sheet of one model, and offer to time it."""
    name = st.selectbox("Model", compared.names, key="sheet_of", bind="query-params", width=300)
    place = compared.names.index(name)
    evaluation = compared.lineup.evaluations[place]
    folder = weights_folder(evaluation.checkpoint)
    if folder is None:
        st.caption(
            "Its weights are not on this machine, so nobody can time it here; its row stands all the same."
        )
    else:
        st.button(
            "Time it on this machine",
            icon=":material/timer:",
            key="compare_time",
            help="Looks at a drawn lesion some times and takes the median, all seven evidence maps included.",
            on_click=_time,
            args=(str(folder), evaluation.checkpoint),
        )
    if problem := st.session_state.get("compare_time_problem"):
        notices.refuse(problem)
    sheet = sheet_of(compared, place)
    with st.container(border=True):
        # The page has its title already; on it, the sheet's own stands lower.
        st.markdown(sheet.replace("# ", "## ", 1))
    st.download_button(
        "This sheet as Markdown",
        data=sheet,
        file_name="facts_sheet.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
        key="compare_sheet_md",
    )


def sheet_of(compared: Compared, place: int) -> str:
    """Return the facts sheet of a model as Markdown."""
    evaluation = compared.lineup.evaluations[place]
    measured = {
        metric: found.interval
        for metric in (*METRICS, *AT_POINT)
        if (found := compared.measured(place, metric)) is not None
    }
    lineup = compared.lineup
    return facts_sheet(
        evaluation,
        measured,
        on=f"{lineup.n_images:,} pictures of {lineup.n_lesions:,} lesions"
        + " that histology confirmed" * compared.histology,
        point=compared.wish.words,
        ms=st.session_state.get(_MS, {}).get(evaluation.checkpoint),
    )


def _time(folder: str, reference: str) -> None:
    from pathlib import Path

    from core.predict.timing import median_ms

    st.session_state.pop("compare_time_problem", None)
    try:
        st.session_state.setdefault(_MS, {})[reference] = median_ms(cache.checkpoint(Path(folder), reference))
    except LesionLensError as problem:
        st.session_state["compare_time_problem"] = problem
