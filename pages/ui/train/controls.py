"""What can be asked of a run: pause, go on, stop, delete. Who may not, is told why.

Each button keeps its place and is grey while it makes no sense: a run changes its state by itself, and what
somebody is about to press must not move away under the pointer.
"""

import json
from collections.abc import Callable, Collection
from typing import Final

import streamlit as st

from core.errors import RunError
from core.runs import control
from core.runs.folder import LIVE_STATES, RunFolder
from core.runs.library import Summary
from core.settings import settings
from pages.ui import notices
from pages.ui.train import address

_RESUMABLE: Final = ("paused", "stopped", "failed", "died")
_SAID: Final = "train_said"


def draw(run: Summary) -> None:
    """Draw the buttons of a run that trains or trained here; nothing for a recorded one."""
    if run.is_bundled or not settings().allow_training:
        return
    if run.state == "running":
        _button("Pause", ":material/pause:", run, control.pause, "Asked to pause after this step.")
    else:
        said = "It goes on when the machine is free."
        _button("Resume", ":material/play_arrow:", run, control.resume, said, when=_RESUMABLE)
    said = "Asked to stop. It saves its state first."
    _button("Stop", ":material/stop:", run, control.stop, said, when=LIVE_STATES)
    _draw_delete(run)


def draw_said(run: Summary) -> None:
    """Draw what came of the last button, and what the trainer was asked and has not done yet."""
    said = st.session_state.pop(_SAID, None)
    if isinstance(said, RunError):
        notices.refuse(said)
    elif said is not None:
        st.toast(notices.plain(said), icon=":material/check:")
    wish = _wish(run) if run.is_live else None
    # A paused trainer leaves what it was asked where it is, until it is asked for something else.
    if wish is not None and (run.state, wish) not in (("paused", "pause"), ("running", "resume")):
        st.caption(f":material/hourglass_top: Asked to {wish}; the trainer ends its step first.")
    if not run.is_bundled and not settings().allow_training:
        st.caption(
            ":material/lock: Training is switched off on this machine, so runs can be watched and replayed "
            "only. LESIONLENS_ALLOW_TRAINING switches it on."
        )


def _button(
    label: str,
    icon: str,
    run: Summary,
    ask: Callable[[RunFolder], object],
    said: str,
    *,
    when: Collection[str] = ("running",),
) -> None:
    def press() -> None:
        try:
            ask(RunFolder(run.folder))
        except RunError as problem:
            st.session_state[_SAID] = problem
        else:
            st.session_state[_SAID] = said

    key = f"train_{label.lower()}"
    st.button(label, icon=icon, key=key, on_click=press, disabled=run.state not in when)


def _draw_delete(run: Summary) -> None:
    with st.popover("Delete", icon=":material/delete:", disabled=run.is_live):
        st.markdown(
            f"Move **{notices.plain(run.name)}** with its checkpoints to the folder `.trash` beside the "
            "runs? It can be taken back from there."
        )
        st.button(
            "Delete it",
            type="primary",
            key="train_delete",
            on_click=_delete,
            args=(run,),
            disabled=run.is_live,
        )


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
