"""What can be asked of a run: pause, go on, stop, delete. Who may not, is told why."""

import json
from collections.abc import Callable

import streamlit as st

from core.errors import RunError
from core.runs import control
from core.runs.folder import RunFolder
from core.runs.library import Summary
from core.settings import settings
from pages.ui import notices
from pages.ui.train import address

_SAID = "train_said"


def draw(run: Summary) -> None:
    """Draw the buttons that make sense in the run's state; nothing for a recorded run."""
    if run.is_bundled or not settings().allow_training:
        return
    if run.state == "running":
        _button("Pause", ":material/pause:", run, control.pause, "Asked to pause after this step.")
    if run.is_live:
        _button("Stop", ":material/stop:", run, control.stop, "Asked to stop. It saves its state first.")
    if run.state in ("paused", "stopped", "failed", "died"):
        _button(
            "Resume", ":material/play_arrow:", run, control.resume, "It goes on when the machine is free."
        )
    if not run.is_live:
        _draw_delete(run)


def draw_said(run: Summary) -> None:
    """Draw what came of the last button, and what the trainer was asked and has not done yet."""
    said = st.session_state.pop(_SAID, None)
    if isinstance(said, RunError):
        notices.refuse(said)
    elif said is not None:
        st.toast(notices.plain(said), icon=":material/check:")
    if run.is_live and (wish := _wish(run)) is not None:
        st.caption(f":material/hourglass_top: Asked to {wish}; the trainer ends its step first.")
    if not run.is_bundled and not settings().allow_training:
        st.caption(
            ":material/lock: Training is switched off on this machine, so runs can be watched and replayed "
            "only. LESIONLENS_ALLOW_TRAINING switches it on."
        )


def _button(label: str, icon: str, run: Summary, ask: Callable[[RunFolder], object], said: str) -> None:
    def press() -> None:
        try:
            ask(RunFolder(run.folder))
        except RunError as problem:
            st.session_state[_SAID] = problem
        else:
            st.session_state[_SAID] = said

    st.button(label, icon=icon, key=f"train_{label.lower()}", on_click=press)


def _draw_delete(run: Summary) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(
            f"Move **{notices.plain(run.name)}** with its checkpoints to the folder `.trash` beside the "
            "runs? It can be taken back from there."
        )
        st.button("Delete it", type="primary", key="train_delete", on_click=_delete, args=(run,))


def _delete(run: Summary) -> None:
    try:
        trashed = control.delete(RunFolder(run.folder))
    except RunError as problem:
        st.session_state[_SAID] = problem
    else:
        address.forget(run.reference)
        st.session_state[_SAID] = f"Moved to {trashed.parent.name}/{trashed.name}."


def _wish(run: Summary) -> str | None:
    try:
        wish = json.loads((run.folder / "request.json").read_text(encoding="utf-8"))["wish"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return wish if wish in ("pause", "resume", "stop") else None
