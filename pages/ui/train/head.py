"""The head of a run: its name and state, what can be done with it, its tags and note."""

from typing import Final, Literal

import streamlit as st

from core.errors import RunError
from core.runs.library import Summary
from core.runs.notes import Notes, read_notes, write_notes
from core.runs.story import clock
from core.settings import settings
from core.words import NBSP
from pages.ui import notices
from pages.ui.train import controls, player

_COLOURS: Final[dict[str, Literal["primary", "yellow", "blue", "gray", "red", "orange"]]] = {
    "running": "primary",
    "paused": "yellow",
    "finished": "blue",
    "stopped": "gray",
    "failed": "red",
    "died": "red",
    "unreadable": "orange",
}


def draw(run: Summary) -> None:
    """Draw the head of the run that is looked at."""
    replay = player.replay_of(run)
    player.start_if_asked(run, replay)
    now = None if replay is None else player.current(run, replay)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(notices.plain(run.name), anchor=False, width="content")
        if now is not None and now.used:
            st.badge("REPLAY", icon=":material/replay:", color="violet")
        elif run.is_bundled:
            st.badge("recorded", color="violet")
        if not run.is_bundled:
            st.badge(run.state, color=_COLOURS[run.state])
        st.space("stretch")
        if not run.is_bundled:
            st.toggle(
                "Hold still",
                key="train_hold",
                help="The page stops following; the run goes on.",
                disabled=not run.is_live,
            )
        controls.draw(run)
        if not run.is_bundled:
            _draw_notes(run)
    controls.draw_said(run)
    about = run.recipe.get("about")
    if about:
        st.caption(notices.plain(str(about)))
    if now is not None and not now.is_playing and now.now() >= now.length_s:
        shown = clock(now.length_s / player.FASTEST)
        st.button(
            f"Watch it learn: {clock(now.length_s)} of training in {shown}",
            icon=":material/play_circle:",
            key="train_replay",
            on_click=player.ask,
            help=f"Replays what was recorded, {player.FASTEST}{NBSP}times as fast. Nothing is computed.",
        )


def _draw_notes(run: Summary) -> None:
    notes = read_notes(run.folder)
    label = ", ".join(notes.tags) or "Tags and note"
    shared = not settings().allow_training
    with st.popover(notices.plain(label), icon=":material/sell:"):
        tags = st.text_input(
            "Tags",
            ", ".join(notes.tags),
            key=f"train_tags_{run.reference}",
            help="With commas between them.",
            disabled=shared,
        )
        note = st.text_area("Note", notes.note, key=f"train_note_{run.reference}", disabled=shared)
        if shared:
            st.caption("This server is shared, so nothing is written here.")
        # A browser may still send what is disabled.
        if st.button("Keep", key="train_keep_notes", icon=":material/save:", disabled=shared) and not shared:
            try:
                write_notes(run.folder, Notes.of(tags, note))
            except RunError as problem:
                notices.refuse(problem)
            else:
                st.toast("Kept.", icon=":material/check:")
    if notes.note:
        st.caption(notices.plain(notes.note))
