"""The large part of the page: one run, live, ended or replayed, and what is laid over it.

Only what moves is a fragment, so a look at the run costs one small rerun; the rest of the page stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from core.runs import story
from core.runs.folder import Status
from core.runs.following import Telling
from core.runs.library import Summary
from core.runs.replay import Replay
from core.words import Reader
from pages.ui import notices
from pages.ui.train import (
    afterwards,
    alarms,
    confusion,
    curves,
    film,
    journal,
    numbers,
    overlay,
    player,
    sources,
)

EVERY_S: Final = 1.5


def draw(run: Summary, others: Sequence[Summary], reader: Reader, *, hidden: bool) -> None:
    """Draw a run. others: laid over it. hidden: whether the tab is out of sight, so that nothing moves."""
    stands = standing(run, others)
    held = run.is_live and st.session_state.get("train_hold")
    watching = stands.moves and not hidden and not held
    st.fragment(look, run_every=EVERY_S if watching else None)(
        run.reference, tuple(one.reference for one in others), reader, stands
    )


@dataclass(frozen=True)
class Standing:
    """What the page around the moving part stands on: head and buttons on the state, its pace on `moves`."""

    state: str
    moves: bool


def standing(run: Summary, others: Sequence[Summary]) -> Standing:
    """Return how it stands with a run and those laid over it."""
    replay = player.replay_of(run)
    plays = replay is not None and player.current(run, replay).is_playing
    return Standing(run.state, run.is_live or plays or any(one.is_live for one in others))


def look(reference: str, others: tuple[str, ...], reader: Reader, stood: Standing) -> None:
    """Draw what a run has told by now: the part that refreshes.

    stood: how it stood when the page around was drawn; where that has changed, the page is drawn anew.
    """
    here = {run.reference: run for run in sources.runs()}
    run = here.get(reference)
    if run is None:
        st.rerun()
    replay = player.replay_of(run)
    if replay is not None:
        player.draw(run, replay)
    telling, status = _now(run, replay)
    state = run.state if replay is None else status.state
    over = [here[name] for name in others if name in here]
    _say(run, telling, status, state, reader)
    if run.status is not None:
        share = min(1.0, status.step / status.total_steps) if status.total_steps else None
        numbers.draw(story.figures(telling, status, run.epochs), share=share)
    alarms.draw(telling, status)
    options = _options()
    colours = curves.colours(1 + len(over))
    drawn = [curves.Drawn(run, telling, status.total_steps, colours[0])]
    for one, colour in zip(over, colours[1:], strict=True):
        total = one.status.total_steps if one.status is not None else 0
        drawn.append(curves.Drawn(one, sources.told(one), total, colour))
    curves.draw(drawn, options)
    _draw_table(telling)
    overlay.draw([run, *over])
    if telling.epochs or not run.is_live:
        film.draw(run, telling.epochs[-1].number if telling.epochs else 0, reader)
        confusion.draw(run, telling)
    journal.draw(run, state)
    afterwards.draw(run, telling, state)
    if (stands := standing(run, over)) != stood:
        if stands.state != stood.state and not run.is_live:
            st.toast(notices.plain(story.headline(status, state, run.name)), icon=":material/flag:")
        st.rerun()


def _now(run: Summary, replay: Replay | None) -> tuple[Telling, Status]:
    if replay is not None:
        return player.look(run, replay)
    status = run.status or Status(run.state, 0, "", 0.0)
    return sources.told(run), replace(status, state=run.state)


def _say(run: Summary, telling: Telling, status: Status, state: str, reader: Reader) -> None:
    if run.problem:
        notices.refuse(Exception(run.problem))
        return
    if telling.unread_bytes:
        st.caption(
            f":material/hourglass_top: Still reading: {telling.unread_bytes / 2**20:,.0f} MB of events to go."
        )
    st.markdown(notices.plain(story.narrate(telling, status, reader)))
    if state in ("stopped", "failed", "died"):
        st.caption(notices.plain(story.headline(status, state, run.name)))


def _options() -> curves.Options:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        axis = st.segmented_control(
            "Along", curves.AXES, default="epoch", required=True, key="along", bind="query-params"
        )
        smoothing = st.slider(
            "Smoothing of the training loss",
            0.0,
            0.98,
            0.6,
            0.02,
            key="smooth",
            bind="query-params",
            width=200,
        )
        log = st.toggle("Logarithmic", key="log", bind="query-params", help="Of loss and learning rate.")
    return curves.Options(axis, float(smoothing), bool(log))


def _draw_table(telling: Telling) -> None:
    with st.expander(
        "The curves as a table", icon=":material/table_rows:", on_change="rerun", key="train_table"
    ) as opened:
        if opened.open:
            table = curves.table(telling)
            if table.empty:
                st.caption("No epoch is whole yet.")
            else:
                st.dataframe(
                    table,
                    hide_index=True,
                    column_config={
                        name: st.column_config.NumberColumn(format="%d" if name == "epoch" else "%.3f")
                        for name in table.columns
                    },
                    alt="Losses, scores and recalls of every epoch",
                )
