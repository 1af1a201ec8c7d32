"""What waits to be trained: visible, and to be put in another order or taken out."""

import time
from collections.abc import Sequence

import streamlit as st

from core.errors import RunError
from core.runs import queue
from core.runs.library import Summary
from core.runs.queue import Queued
from core.runs.story import duration
from core.settings import settings
from pages.ui import notices
from pages.ui.train import address, sources

_PROBLEM = "train_queue_problem"


def waiting() -> tuple[Queued, ...]:
    """Return what waits, first to last; none where the queue cannot be read, which is said."""
    try:
        return queue.waiting(settings().runs_dir)
    except RunError as problem:
        notices.refuse(problem)
        return ()


def draw() -> None:
    """Draw the queue; nothing when it is empty."""
    items = waiting()
    if (problem := st.session_state.pop(_PROBLEM, None)) is not None:
        notices.refuse(problem)
    if not items:
        return
    with st.container(border=True, gap="small"):
        st.markdown(f"**Waiting ({len(items)})**")
        st.caption("One run trains at a time on this machine; the next starts by itself.")
        for place, item in enumerate(items):
            _draw_item(place, item)


def _draw_item(place: int, item: Queued) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = "starting" if item.starting else "resumes" if item.what == "resume" else item.recipe
        st.markdown(f"{place + 1}. {notices.plain(item.name)} · {notices.plain(words)}", width="stretch")
        if item.starting or not settings().allow_training:
            return
        st.button(
            "Earlier",
            key=f"train_up_{item.name}",
            icon=":material/arrow_upward:",
            disabled=place == 0,
            on_click=_try,
            args=("move", item.name, place - 1),
        )
        st.button(
            "Take out",
            key=f"train_out_{item.name}",
            icon=":material/close:",
            on_click=_try,
            args=("cancel", item.name),
        )


def asked_for(items: Sequence[Queued], runs: Sequence[Summary]) -> Queued | None:
    """Return what waits under the name that the address asks for, while its run has not begun again.

    The runs must have been listed after what waits: a run leaves the queue when it has begun, and would be
    neither here nor there the other way round.
    """
    name = st.query_params.get(address.RUN)
    live = {run.reference for run in runs if run.is_live}
    return next((item for item in items if item.name == name and name not in live), None)


def draw_waiting(name: str) -> None:
    """Draw a run that was asked for and has not begun yet; the page follows when it has."""
    st.header(notices.plain(name), anchor=False)
    st.fragment(_draw_waiting, run_every="1.5s")(name)


def _draw_waiting(name: str) -> None:
    items = waiting()
    item = next((one for one in items if one.name == name), None)
    if item is None or sources.is_live(name):
        st.rerun()
    st.badge("starting" if item.starting else "waiting", icon=":material/hourglass_top:", color="orange")
    if item.starting:
        st.info("Its trainer loads its libraries and reads the dataset. The first numbers follow soon.")
    else:
        since = duration(time.time() - item.submitted)
        st.info(f"In the queue for {since}. It starts by itself when the run before it has ended.")


def _try(what: str, name: str, to: int = 0) -> None:
    try:
        if what == "move":
            queue.move(settings().runs_dir, name, to)
        else:
            queue.cancel(settings().runs_dir, name)
    except RunError as problem:
        st.session_state[_PROBLEM] = problem
