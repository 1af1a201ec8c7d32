"""The runs at the left: state, recipe, best score, age and duration of each, the newest first."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import streamlit as st

from core.runs.library import Summary
from core.runs.notes import read_notes
from core.runs.story import duration
from pages.ui import theme
from pages.ui.train import address, queue, sources, starting

SHOWN: Final = 60
"""Rows that are sent at once; the filter finds the others."""

STATE_COLOURS: Final = {
    "running": "primaryColor",
    "paused": "yellowColor",
    "finished": "blueColor",
    "stopped": "grayColor",
    "failed": "redColor",
    "died": "redColor",
    "unreadable": "orangeColor",
    "recorded": "violetColor",
}

_KEY: Final = "train_shelf"
_MOVED: Final = "train_shelf_moved"
_HERE: Final = Path(__file__)
_SHELF: Final = st.components.v2.component(
    "lesionlens_shelf",
    html='<div class="shelf"></div>\n',
    css=_HERE.with_name("shelf.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("shelf.js").read_text(encoding="utf-8"),
)


def draw(looked_at: Summary | None, others: Sequence[Summary]) -> None:
    """Draw the list; it keeps itself up to date, and a pick runs the page again."""
    st.text_input(
        "Find runs",
        placeholder="Find by name, recipe, state or tag",
        key="find",
        bind="query-params",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    # Runs that others start, or that end, are seen here; it costs a few milliseconds of the server.
    st.fragment(_draw_list, run_every="4s")(looked_at, others)


def _draw_list(looked_at: Summary | None, others: Sequence[Summary]) -> None:
    if st.session_state.pop(_MOVED, False):
        st.rerun()
    queue.draw()
    runs = sources.runs()
    ended = {run.reference for run in (looked_at, *others) if run is not None and not run.is_live}
    if any(run.is_live and run.reference in ended for run in runs):
        # The panel may not follow a run that had ended; somebody has let it go on from elsewhere.
        st.rerun()
    wanted = str(st.session_state.get("find") or "").lower().split()
    found = [run for run in runs if _fits(run, wanted)]
    now = time.time()
    drawn = None if looked_at is None else looked_at.reference
    laid_over = {run.reference for run in others}
    rows = [
        _row(run, now) | {"picked": run.reference == drawn, "compared": run.reference in laid_over}
        for run in found[:SHOWN]
    ]
    rest = len(found) - len(rows)
    note = (
        f"and {rest:,} more; find them above"
        if rest
        else ""
        if found
        else "No run fits. Clear the field above."
    )
    _SHELF(
        key=_KEY,
        data={"label": f"Runs, {len(found)} of {len(runs)}", "rows": rows, "note": note},
        on_picked_change=_picked,
    )


def _fits(run: Summary, wanted: Sequence[str]) -> bool:
    if not wanted:
        return True
    words = f"{run.name} {run.recipe_name} {_state(run)} {' '.join(read_notes(run.folder).tags)}".lower()
    return all(word in words for word in wanted)


def _state(run: Summary) -> str:
    return "recorded" if run.is_bundled else run.state


def _picked() -> None:
    # What comes from a browser may be anything; a run that is not there is not looked at.
    value = st.session_state[_KEY].picked
    if not isinstance(value, Mapping) or not isinstance(value.get("run"), str):
        return
    if value.get("compare"):
        address.toggle(value["run"])
    else:
        starting.leave()
        address.look_at(value["run"])
    st.session_state[_MOVED] = True


def _row(run: Summary, now: float) -> dict[str, Any]:
    state = _state(run)
    best = "–" if math.isnan(run.best) else f"{run.best:.3f}"
    took = duration(run.duration_s)
    ended = f"took {took}" if run.is_bundled else f"{duration(now - run.started_s)} ago · took {took}"
    status = run.status
    share = 0.0 if status is None or not status.total_steps else min(1.0, status.step / status.total_steps)
    return {
        "run": run.reference,
        "name": run.name,
        "state": state,
        "colour": theme.colour(STATE_COLOURS[state]),
        "moves": run.state == "running" and not run.is_bundled,
        "recipe": run.recipe_name,
        "best": best,
        "when": f"{took} so far" if run.is_live else run.problem or ended,
        "share": round(share, 3) if run.is_live else None,
        "tags": list(read_notes(run.folder).tags),
        "words": f"{run.name}, {state}, recipe {run.recipe_name}, best balanced accuracy {best}, {took}",
    }
