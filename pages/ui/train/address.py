"""Which run is looked at, and which are laid over it: in the address, so a link shows what its sender saw.

A run that appears, or another that ends, never changes what is looked at.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core.runs.library import Summary
from core.settings import settings
from pages.ui import notices

RUN: Final = "run"
WITH: Final = "with"
MOST: Final = 10
"""Runs that are drawn at once: more colours than this cannot be told apart."""

_DEFAULT: Final = "train_run"


def chosen(runs: Sequence[Summary], *, waits: bool = False) -> Summary | None:
    """Return the run that the address names, else the one this person has looked at; None if there is none.

    The first visit sees a run that is training, else the newest one here, else a recorded one.

    waits: whether what the address names is in the queue, and no reason to complain.
    """
    by_reference = {run.reference: run for run in runs}
    asked = st.query_params.get(RUN)
    if asked and asked not in by_reference and not waits:
        st.warning(
            f"There is no run {notices.plain(asked[:100])} here. It may have been deleted, or the link is "
            "from another machine.",
            icon=":material/search_off:",
        )
    before = st.session_state.get(_DEFAULT)
    found = by_reference.get(asked or "") or by_reference.get(before or "") or _first(runs)
    if found is not None:
        # Kept, so that a run that starts meanwhile does not take its place.
        st.session_state[_DEFAULT] = found.reference
    return found


def _first(runs: Sequence[Summary]) -> Summary | None:
    live = [run for run in runs if run.is_live]
    here = [run for run in runs if not run.is_bundled]
    # Of the recorded ones, how the checkpoint that answers on the Predict page was made.
    own = [run for run in runs if run.reference == settings().default_checkpoint]
    return next(iter([*live, *here, *own, *runs]), None)


def compared(runs: Sequence[Summary], looked_at: Summary) -> tuple[Summary, ...]:
    """Return the runs that the address lays over the one that is looked at, in its order."""
    by_reference = {run.reference: run for run in runs}
    names = dict.fromkeys(st.query_params.get(WITH, "").split(","))
    found = [by_reference[name] for name in names if name in by_reference and name != looked_at.reference]
    return tuple(found[: MOST - 1])


def look_at(reference: str) -> None:
    """Look at another run. For callbacks."""
    st.session_state[_DEFAULT] = reference
    st.query_params[RUN] = reference


def forget(reference: str) -> None:
    """Look at something else than a run that is gone. For callbacks."""
    if st.session_state.get(_DEFAULT) == reference:
        del st.session_state[_DEFAULT]
    if st.query_params.get(RUN) == reference:
        del st.query_params[RUN]


def toggle(reference: str) -> None:
    """Lay a run over the one that is looked at, or take it away. For callbacks."""
    names = [name for name in st.query_params.get(WITH, "").split(",") if name]
    names = [name for name in names if name != reference] if reference in names else [*names, reference]
    if names:
        st.query_params[WITH] = ",".join(names[: MOST - 1])
    else:
        st.query_params.pop(WITH, None)
